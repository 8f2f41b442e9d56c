"""A repository made with cruft follows the template and keeps what its owner wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import commit
from support import BIN, TEMPLATE, run

IDENTITY = {
    "GIT_AUTHOR_NAME": "Test",
    "GIT_AUTHOR_EMAIL": "test@example.com",
    "GIT_COMMITTER_NAME": "Test",
    "GIT_COMMITTER_EMAIL": "test@example.com",
}


def cruft(*arguments: str | Path, cwd: Path, check: bool = True) -> tuple[int, str]:
    """Run cruft; return its exit code and output."""
    home = {"HOME": str(cwd), **IDENTITY}
    result = run(BIN / "cruft", *arguments, cwd=cwd, check=check, environment=home)
    return result.returncode, result.stdout + result.stderr


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    """A committed repository made by `cruft create` with answers other than the defaults."""
    answers = json.dumps({"project_name": "Blue Line", "service_name": "tickets"})
    cruft(
        "create", template, "--no-input", "--output-dir", tmp_path,
        "--extra-context", answers, cwd=tmp_path,
    )  # fmt: skip
    return commit(tmp_path / "blue-line")


def change_template(template: Path) -> None:
    """Commit a change of one line of the README and a new file to the template."""
    readme = template / TEMPLATE.name / "README.md"
    text = readme.read_text(encoding="utf-8")
    assert "## First hour" in text
    readme.write_text(text.replace("## First hour", "## The first hour"), encoding="utf-8")
    added = template / TEMPLATE.name / "NEWS.md"
    added.write_text("News of << cookiecutter.project_slug >>\n", encoding="utf-8")
    commit(template)


def test_cruft_create_gives_what_cookiecutter_gives(project: Path, template: Path) -> None:
    state = json.loads((project / ".cruft.json").read_text(encoding="utf-8"))
    assert state["context"]["cookiecutter"]["service_name"] == "tickets"
    head = run("git", "rev-parse", "HEAD", cwd=template).stdout.strip()
    assert state["commit"] == head
    assert "<<" not in (project / "README.md").read_text(encoding="utf-8")


def test_cruft_check_tells_when_the_template_has_moved_on(project: Path, template: Path) -> None:
    assert cruft("check", cwd=project)[0] == 0
    change_template(template)
    code, output = cruft("check", cwd=project, check=False)
    assert code == 1, output


def test_cruft_update_brings_the_change_and_keeps_the_owners_edits(
    project: Path, template: Path
) -> None:
    own_code = project / "services/tickets/src/mine.ts"
    own_code.write_text("export const mine = 1;\n", encoding="utf-8")
    rules = project / "monitoring/rules/slo.yaml"
    rules.write_text(rules.read_text("utf-8").replace("0.999", "0.995"), encoding="utf-8")
    readme = project / "README.md"
    readme.write_text(readme.read_text("utf-8") + "\nOur own words.\n", encoding="utf-8")
    (project / ".editorconfig").unlink()
    commit(project)
    change_template(template)

    code, output = cruft("update", "--skip-apply-ask", cwd=project)

    assert code == 0, output
    assert "News of blue-line" in (project / "NEWS.md").read_text(encoding="utf-8")
    updated = readme.read_text(encoding="utf-8")
    assert "## The first hour" in updated, "the template's change did not arrive"
    assert "Our own words." in updated, "the owner's line in the same file is lost"
    assert "vector(0.995)" in rules.read_text(encoding="utf-8"), "the owner's value is lost"
    assert own_code.exists(), "the owner's file is lost"
    assert not (project / ".editorconfig").exists(), "a file that the owner deleted is back"
    assert list(project.rglob("*.rej")) == []
    assert cruft("check", cwd=project)[0] == 0


def test_cruft_update_refuses_to_touch_uncommitted_work(project: Path, template: Path) -> None:
    readme = project / "README.md"
    readme.write_text("not committed\n", encoding="utf-8")
    change_template(template)
    cruft("update", "--skip-apply-ask", cwd=project, check=False)
    assert readme.read_text(encoding="utf-8") == "not committed\n"
    assert not (project / "NEWS.md").exists()


def test_an_answer_with_a_delimiter_survives_an_update_once_it_is_quoted(
    template: Path, tmp_path: Path
) -> None:
    """Like cookiecutter's command line, cruft renders the answers that it has kept (docs/index.md)."""
    answers = json.dumps({"description": "a << '<' >>< b", "project_slug": "quoted"})
    cruft(
        "create", template, "--no-input", "--output-dir", tmp_path,
        "--extra-context", answers, cwd=tmp_path,
    )  # fmt: skip
    project = commit(tmp_path / "quoted")
    assert "a \\<\\< b" in (project / "README.md").read_text(encoding="utf-8")
    change_template(template)

    code, output = cruft("update", "--skip-apply-ask", cwd=project, check=False)
    assert code != 0 and "TemplateSyntaxError" in output
    assert run("git", "status", "--porcelain", cwd=project).stdout == "", "half an update"

    state = project / ".cruft.json"
    state.write_text(state.read_text("utf-8").replace("a << b", "a << '<' >>< b"), encoding="utf-8")
    commit(project)
    cruft("update", "--skip-apply-ask", cwd=project)
    assert "a \\<\\< b" in (project / "README.md").read_text(encoding="utf-8")
    assert (project / "NEWS.md").exists()
