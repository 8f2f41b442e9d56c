"""Repositories of the last releases, changed as owners do, follow the template and lose nothing."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from conftest import Tools, commit
from support import ROOT, TEMPLATE, run
from updates import rehearsal, ways
from updates.rehearsal import EDITS, Release, Workshop, git
from updates.ways import WAYS, Way

# The checks read the documents, so those stay for them.
CHECKED = [edit for edit in EDITS if "docs" not in edit.gone]


@pytest.fixture(scope="module")
def workshop(
    tmp_path_factory: pytest.TempPathFactory, default_repo: Path, tools: Tools
) -> Workshop:
    """The template with its history, whose end is the working tree."""
    rehearsal.need_history()
    folder = tmp_path_factory.mktemp("updates")
    script = default_repo / ".github/scripts/update.js"
    return Workshop(folder, rehearsal.template(folder), script, tools.folder("node"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, default_repo: Path, tools: Tools) -> Workshop:
    """A template of a few files, in three steps with a tag each: begin, earlier, now."""
    folder = tmp_path_factory.mktemp("ways")
    source = folder / "template"
    source.mkdir()
    for step, name in enumerate(("begin", "earlier", "now")):
        ways.template(source, WAYS, step=step)
        commit(source)
        git("tag", name, cwd=source)
    script = default_repo / ".github/scripts/update.js"
    return Workshop(folder, source, script, tools.folder("node"))


def unsettled(project: Path) -> list[str]:
    """Return the files of which git knows that somebody has to decide."""
    return git("diff", "--name-only", "--diff-filter=U", cwd=project).splitlines()


def followed(project: Path, edits: list[rehearsal.Edit], workshop: Workshop, folder: Path) -> None:
    """Assert that nothing of the edits is lost, and that all else is as the template makes it now."""
    assert [line for edit in edits for line in rehearsal.lost(project, edit)] == []
    assert list(project.rglob("*.rej")) == []
    assert unsettled(project) == []
    state = json.loads((project / ".cruft.json").read_text(encoding="utf-8"))
    assert state["commit"] == workshop.commit_of("main")
    # As if the owner had begun with what the template makes now, and then done the same.
    clean = folder / "clean"
    workshop.bake("main", clean)
    made = rehearsal.content(clean)
    for edit in edits:
        edit.change(clean)
    wanted, found = rehearsal.content(clean), rehearsal.content(project)
    own = {path for edit in edits for path in edit.kept if path not in made}
    differing = {path for path in {*wanted, *found} if wanted.get(path) != found.get(path)}
    assert sorted(differing - own) == [], "a change did not arrive, or too much did"


def released(
    workshop: Workshop, release: Release, folder: Path, edits: list[rehearsal.Edit]
) -> Path:
    """Return a repository of a release, with edits, committed."""
    project = folder / "acme-shop"
    workshop.project(release.ref, project)
    for edit in edits:
        edit.change(project)
    return commit(project)


@pytest.mark.slow
@pytest.mark.parametrize("release", rehearsal.releases(), ids=lambda release: release.version)
def test_a_release_follows_the_template_and_keeps_what_owners_did(
    workshop: Workshop, release: Release, tmp_path: Path
) -> None:
    project = released(workshop, release, tmp_path, EDITS)
    code, output = workshop.update(project, "--to", "main")
    assert code == 0, output
    followed(project, EDITS, workshop, tmp_path)
    assert "docs/updates.md" in output.split("you have deleted")[1], output


@pytest.mark.slow
def test_release_after_release_keeps_it_too(workshop: Workshop, tmp_path: Path) -> None:
    first, *others = rehearsal.releases()
    project = released(workshop, first, tmp_path, EDITS)
    for name in (*(release.ref for release in others), "main"):
        code, output = workshop.update(project, "--to", name)
        assert code == 0, output
        commit(project)
    followed(project, EDITS, workshop, tmp_path)


@pytest.mark.slow
def test_the_checks_of_the_result_pass_and_cruft_still_knows_it(
    workshop: Workshop, ready_repo: Path, tools: Tools, tmp_path: Path
) -> None:
    project = released(workshop, rehearsal.releases()[-1], tmp_path, CHECKED)
    code, output = workshop.update(project, "--to", "main")
    assert code == 0, output
    followed(project, CHECKED, workshop, tmp_path)
    commit(project)
    rehearsal.dependencies(ready_repo, project)
    run("make", "contracts", cwd=project, path=tools.folder())
    home = {"HOME": str(tmp_path)}
    cruft = Path(sys.executable).parent / "cruft"
    checked = run(cruft, "check", cwd=project, environment=home)
    assert "up to date" in checked.stdout


# ---------------------------------------------------------------------------- one thing at a time


def begun(small: Workshop, folder: Path, *some: Way) -> Path:
    """Return a repository of the small template to which these things have been done."""
    project = folder / "shop"
    small.project("begin", project)
    for way in some:
        way.owner(project)
    return commit(project) if some else project


def outcome(project: Path, way: Way, code: int) -> str:
    """Say what an update has made of a file."""
    place = ways.place_of(way)
    file = project / place
    content = file.read_text(encoding="utf-8") if file.is_file() else None
    said = ", and exit code 0" if code == 0 else ", and says so"
    if list(project.rglob("*.rej")):
        return f"leaves a `.rej`{said}"
    if place in unsettled(project) or (content is not None and "<<<<<<<" in content):
        return f"a conflict{said}"
    if content == ways.expected(way) and (content is not None or not way.there):
        return "as it should be"
    return f"loses a change{said}"


@pytest.mark.slow
def test_every_way_ends_well_or_is_told(small: Workshop, tmp_path: Path) -> None:
    project = begun(small, tmp_path, *WAYS)
    code, output = small.update(project, "--to", "earlier")
    assert code == 0, output
    commit(project)
    code, output = small.update(project, "--to", "now")
    told = [ways.place_of(way) for way in WAYS if not way.settled]
    assert (code, unsettled(project)) == (2, sorted(told)), output
    for way in WAYS:
        wanted = "as it should be" if way.settled else "a conflict, and says so"
        assert outcome(project, way, code) == wanted, f"{way.name}\n{output}"
        assert way.settled or f"  {ways.place_of(way)}: " in output.split("settle by hand")[1]
    # What is not whole is not committed, and not taken for whole.
    refused = run("git", "commit", "--message=x", cwd=project, check=False)
    assert refused.returncode != 0
    code, output = small.update(project, "--to", "now")
    assert code == 1 and "Commit or undo this first" in output
    git("reset", "--quiet", "--hard", cwd=project)
    state = json.loads((project / ".cruft.json").read_text(encoding="utf-8"))
    assert state["commit"] == small.commit_of("earlier")


@pytest.mark.long
def test_the_documents_compare_it_with_cruft(
    small: Workshop, default_repo: Path, tmp_path: Path
) -> None:
    """Measured with cruft itself: at once, and once more in a clone of what a first update has given."""
    rows = []
    for number, way in enumerate(WAYS):
        folder = tmp_path / str(number)
        for name in ("first", "later", "ours"):
            (folder / name).mkdir(parents=True)
        first = begun(small, folder / "first", way)
        outcomes = [outcome(first, way, small.cruft(first, "now")[0])]
        earlier = begun(small, folder / "later", way)
        small.cruft(earlier, "earlier")
        commit(earlier)
        later = folder / "later/clone"
        git("clone", "--quiet", "--no-local", earlier, later, cwd=folder)
        outcomes.append(outcome(later, way, small.cruft(later, "now")[0]))
        ours = begun(small, folder / "ours", way)
        outcomes.append(outcome(ours, way, small.update(ours, "--to", "now")[0]))
        rows.append(f"| {way.name} | {' | '.join(outcomes)} |")
    document = (default_repo / "docs/updates.md").read_text(encoding="utf-8")
    table = "\n".join(rows)
    assert table in document, f"docs/updates.md should hold\n{table}"


# ---------------------------------------------------------------------------- what it refuses


def refuses(small: Workshop, project: Path, *arguments: str) -> str:
    """Assert that an update does nothing, and return what it says."""
    before = git("status", "--porcelain", cwd=project)
    code, output = small.update(project, *arguments)
    assert code == 1, output
    assert git("status", "--porcelain", cwd=project) == before, output
    return output


@pytest.mark.slow
def test_it_refuses_with_a_reason_and_changes_nothing(small: Workshop, tmp_path: Path) -> None:
    project = begun(small, tmp_path)
    assert "The template has no v9.9.9. Its releases: none yet" in refuses(
        small, project, "--to", "v9.9.9"
    )
    assert "There is no question colour" in refuses(small, project, "--set", "colour=red")

    readme = project / "LICENSE"
    readme.write_text("not committed\n", encoding="utf-8")
    assert "Commit or undo this first" in refuses(small, project)
    git("checkout", "--quiet", ".", cwd=project)

    # In the way of a file that the template brings.
    (project / "added.txt").write_text("not committed\n", encoding="utf-8")
    assert "would be overwritten" in refuses(small, project, "--to", "now")
    (project / "added.txt").unlink()

    state = project / ".cruft.json"
    text = state.read_text(encoding="utf-8")
    for change, said in {
        ("template", str(tmp_path / "nowhere")): "The template cannot be read from",
        ("commit", "0" * 40): "has no commit 0000",
    }.items():
        state.write_text(json.dumps({**json.loads(text), change[0]: change[1]}), encoding="utf-8")
        commit(project)
        assert said in refuses(small, project)
    state.unlink()
    commit(project)
    assert "pipx run cruft link TEMPLATE --checkout REF" in refuses(small, project)


@pytest.mark.slow
def test_new_questions_answers_and_lockfiles(small: Workshop, tools: Tools, tmp_path: Path) -> None:
    """A template of its own, whose next commit asks more, and admits fewer answers to an old question."""
    source = tmp_path / "template"
    source.mkdir()
    questions: dict[str, object] = {
        "project_slug": "shop",
        "service_name": "orders",
        "kind": ["old", "new"],
    }
    changelog = "# Changelog\n\n## {}## 1.0.0 - 2026-11-01\n\n### To do\n\n- Sow.\n"
    files = {
        "CHANGELOG.md": changelog.format("Unreleased\n\n"),
        "{{cookiecutter.project_slug}}/kind.txt": "{{ cookiecutter.kind }}\n",
        "{{cookiecutter.project_slug}}/checks/package.json": ways.package(a="1.0.0"),
        "{{cookiecutter.project_slug}}/checks/package-lock.json": ways.lock(a="1.0.0"),
    }

    def write() -> None:
        for path, content in {**files, "cookiecutter.json": json.dumps(questions)}.items():
            rehearsal.write(source, path, content)
        commit(source)

    write()
    git("tag", "v1.0.0", cwd=source)
    folder = tmp_path / "workshop"
    folder.mkdir()
    workshop = Workshop(folder, source, small.script, tools.folder("node"))
    project = tmp_path / "shop"
    workshop.project("v1.0.0", project)
    code, output = workshop.update(project)
    assert code == 0 and "Nothing to do: this is as of v1.0.0" in output, output

    (project / "checks/package-lock.json").write_text(ways.lock(a="1.0.1"), encoding="utf-8")
    commit(project)
    questions |= {"kind": ["new", "newest"], "colour": "red"}
    files["{{cookiecutter.project_slug}}/checks/package-lock.json"] = ways.lock(a="1.1.0")
    new = "1.1.0 - 2026-12-01\n\n### To do\n\n- Mow the lawn.\n\n### Added\n\n- Grass.\n\n"
    files["CHANGELOG.md"] = changelog.format(new)
    write()
    git("tag", "v1.1.0", cwd=source)
    said = refuses(workshop, project)
    assert "The template as of v1.1.0 does not take these answers" in said
    assert "make update SET=ANSWER=VALUE" in said

    npm = tmp_path / "npm"
    npm.mkdir()
    (npm / "npm").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    (npm / "npm").chmod(0o755)
    (npm / "node").symlink_to((tools.folder("node") / "node").resolve())
    workshop.programs = npm
    report = tmp_path / "report"
    arguments = ("--set", "kind=newest", "--report", str(report))
    code, output = workshop.update(project, *arguments)
    assert code == 2 and unsettled(project) == ["checks/package-lock.json"], output
    assert "npm install --package-lock-only --ignore-scripts" in output
    lock = (project / "checks/package-lock.json").read_text(encoding="utf-8")
    assert lock == ways.lock(a="1.0.1"), "npm can read it"

    git("reset", "--quiet", "--hard", cwd=project)
    (npm / "npm").write_text("#!/bin/sh\necho '{}' > package-lock.json\n", encoding="utf-8")
    code, output = workshop.update(project, *arguments)
    assert code == 0 and unsettled(project) == [], output
    assert (project / "checks/package-lock.json").read_text(encoding="utf-8") == "{}\n"
    assert git("diff", "--name-only", cwd=project) == "", "all of it is in the index"
    assert (project / "kind.txt").read_text(encoding="utf-8") == "newest\n"
    assert "colour: red" in output and "- Mow the lawn." in output and "Sow" not in output
    title = (report / "title.txt").read_text(encoding="utf-8")
    assert title == "Update from the template to v1.1.0\n"
    body = (report / "body.md").read_text(encoding="utf-8")
    assert "from v1.0.0 to v1.1.0" in body and "- Grass." in body and "Sow" not in body
    state = json.loads((project / ".cruft.json").read_text(encoding="utf-8"))
    assert state["context"]["cookiecutter"]["colour"] == "red"
    assert state["commit"] == workshop.commit_of("v1.1.0")


def test_it_runs_the_cookiecutter_of_this_template() -> None:
    pin = re.search(r"cookiecutter==([\d.]+)", (ROOT / "pyproject.toml").read_text("utf-8"))
    assert pin
    for path in (".github/scripts/lib/template.js", "docs/updates.md"):
        text = (TEMPLATE / path).read_text(encoding="utf-8")
        assert re.findall(r"cookiecutter(?:==|@)([\d.]+\d)", text) == [pin[1]], path
