"""Repositories of earlier states of the template, with what owners do to them, to be updated."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import commit
from support import ROOT, TEMPLATE, files_of, run

HERE = Path(__file__).parent
IDENTITY = {
    "GIT_AUTHOR_NAME": "Test",
    "GIT_AUTHOR_EMAIL": "test@example.com",
    "GIT_COMMITTER_NAME": "Test",
    "GIT_COMMITTER_EMAIL": "test@example.com",
}
# The states that a release has to be updated from.
LAST = 3


class Release(NamedTuple):
    """A state of the template: its version, and the commit or tag that has it."""

    version: str
    ref: str


def git(*arguments: str | Path, cwd: Path) -> str:
    """Run git and return what it prints."""
    return run("git", *arguments, cwd=cwd, environment=IDENTITY).stdout.strip()


def releases() -> list[Release]:
    """Return the last releases, the oldest first, filled up with the states of releases.txt."""
    found = subprocess.run(
        ("git", "tag", "--list", "v*", "--sort=version:refname"),
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    tags = [tag for tag in found.stdout.split() if re.fullmatch(r"v\d+\.\d+\.\d+", tag)]
    lines = (HERE / "releases.txt").read_text(encoding="utf-8").splitlines()
    states = [Release(*line.split()[:2]) for line in lines if not line.startswith("#")]
    return [*states, *(Release(tag[1:], tag) for tag in tags)][-LAST:]


def need_history() -> None:
    """Skip the test, also in CI, where there is no history: a clone may be shallow or an archive."""
    for release in releases():
        known = subprocess.run(
            ("git", "cat-file", "-e", f"{release.ref}^{{commit}}"),
            cwd=ROOT, capture_output=True, check=False,
        )  # fmt: skip
        if known.returncode:
            pytest.skip(
                f"UPDATES ARE NOT REHEARSED: this checkout has no {release.ref} ({release.version}). "
                "Get the history with its tags: git fetch --unshallow --tags"
            )


def template(folder: Path) -> Path:
    """Make a repository of the template: its history, and the files of the working tree as its end."""
    copy = folder / "slipway"
    git("clone", "--quiet", "--shared", "--no-checkout", ROOT, copy, cwd=folder)
    git("checkout", "--quiet", "-B", "main", "HEAD", cwd=copy)
    for name in ("cookiecutter.json", "CHANGELOG.md", "hooks", TEMPLATE.name):
        shutil.rmtree(copy / name) if (copy / name).is_dir() else (copy / name).unlink()
        source = ROOT / name
        if source.is_dir():
            left_out = shutil.ignore_patterns("__pycache__", "node_modules")
            shutil.copytree(source, copy / name, symlinks=True, ignore=left_out)
        else:
            shutil.copy2(source, copy / name)
    git("add", "--all", cwd=copy)
    git("commit", "--quiet", "--allow-empty", "--message=The working tree", cwd=copy)
    return copy


class Workshop:
    """Makes, changes and updates repositories of a template."""

    def __init__(self, folder: Path, source: Path, script: Path, programs: Path) -> None:
        self.folder = folder
        self.source = source
        self.script = script
        self.programs = programs
        self.environment = {
            "COOKIECUTTER": f"{sys.executable} {HERE / 'cookiecutter_once.py'}",
            "SLIPWAY_BAKES": str(folder / "bakes"),
            **IDENTITY,
        }
        (folder / "bakes").mkdir()

    def commit_of(self, ref: str) -> str:
        return git("rev-parse", f"{ref}^{{commit}}", cwd=self.source)

    def bake(self, ref: str, place: Path, **answers: str) -> dict[str, object]:
        """Make what the template makes at a commit, at a place; return what cookiecutter knew."""
        work = self.folder / "template" / self.commit_of(ref)
        if not work.exists():
            git("worktree", "add", "--quiet", "--detach", work, ref, cwd=self.source)
        parts = place.parent / f"{place.name}.parts"
        parts.mkdir(parents=True)
        config = parts / "config.json"
        config.write_text(json.dumps({"replay_dir": str(parts / "replay")}), encoding="utf-8")
        run(
            sys.executable, HERE / "cookiecutter_once.py", "--no-input",
            f"--config-file={config}", f"--output-dir={parts / 'made'}", work,
            *(f"{name}={value}" for name, value in answers.items()),
            cwd=self.folder, environment=self.environment,
        )  # fmt: skip
        shutil.move(next((parts / "made").iterdir()), place)
        (replay,) = (parts / "replay").iterdir()
        known: dict[str, object] = json.loads(replay.read_text(encoding="utf-8"))["cookiecutter"]
        shutil.rmtree(parts)
        return known

    def project(self, ref: str, place: Path, **answers: str) -> Path:
        """Make a repository as `cruft create` does, and commit it."""
        context = self.bake(ref, place, **answers)
        made = self.commit_of(ref)
        for name in ("_output_dir", "_repo_dir", "_checkout"):
            context.pop(name, None)
        context |= {"_template": str(self.source), "_commit": made}
        state = {
            "template": str(self.source),
            "commit": made,
            "checkout": None,
            "context": {"cookiecutter": context},
            "directory": None,
        }
        text = json.dumps(state, ensure_ascii=False, indent=2, separators=(",", ": "))
        (place / ".cruft.json").write_text(text + "\n", encoding="utf-8")
        return commit(place)

    def update(self, project: Path, *arguments: str) -> tuple[int, str]:
        """Update as `make update` does; return the exit code and what it says."""
        result = run(
            "node", self.script, *arguments,
            cwd=project, path=self.programs, environment=self.environment, check=False,
        )  # fmt: skip
        return result.returncode, result.stdout + result.stderr

    def cruft(self, project: Path, ref: str) -> tuple[int, str]:
        """Update with cruft; return the exit code and what it says."""
        program = Path(sys.executable).parent / "cruft"
        result = run(
            program, "update", "--skip-apply-ask", f"--checkout={self.commit_of(ref)}",
            cwd=project, environment={"HOME": str(self.folder), **IDENTITY}, check=False,
        )  # fmt: skip
        return result.returncode, result.stdout + result.stderr


# ---------------------------------------------------------------------------- what owners do


class Edit(NamedTuple):
    """Something that owners do: how, and what of it has to be there after an update."""

    name: str
    change: Callable[[Path], object]
    kept: Mapping[str, str]
    gone: tuple[str, ...] = ()


def replace(repository: Path, path: str, old: str, new: str) -> None:
    """Replace a text in a file; it must be there."""
    file = repository / path
    text = file.read_text(encoding="utf-8")
    assert old in text, f"{path} holds no {old!r}: mend the edit"
    file.write_text(text.replace(old, new), encoding="utf-8")


def write(repository: Path, path: str, text: str) -> None:
    """Write a file, and the folders that it is in."""
    (repository / path).parent.mkdir(parents=True, exist_ok=True)
    (repository / path).write_text(text, encoding="utf-8")


SLO = "monitoring/rules/slo.yaml"
PRODUCTION = "deploy/apps/orders/overlays/production/kustomization.yaml"
WORKLOAD = "deploy/apps/orders/base/workload.yaml"
FACTS = "deploy/environments/{}/facts.yaml"
RELEASE = "deploy/apps/orders/overlays/{}/release.yaml"
ALERTMANAGER = "monitoring/alertmanager/alertmanager.yaml"
DIGEST = "sha256:" + "5" * 64
REGISTRY = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"


def facts(repository: Path) -> None:
    for environment in ("dev", "staging", "production"):
        file = FACTS.format(environment)
        replace(repository, file, "000000000000.dkr.ecr.eu-west-1.amazonaws.com", REGISTRY)
        replace(repository, file, "192.0.2.0/24", "10.8.0.0/16")


def own_route(repository: Path) -> None:
    """Add a route, and take an example away."""
    source = repository / "services/orders/src/routes/greetings.ts"
    text = source.read_text(encoding="utf-8").replace("greetings", "baskets")
    write(repository, "services/orders/src/routes/baskets.ts", text)
    app = "services/orders/src/app.ts"
    line = "import { faults } from './routes/faults.ts';\n"
    replace(repository, app, line, f"import {{ baskets }} from './routes/baskets.ts';\n{line}")
    replace(repository, app, "import { quotes } from './routes/quotes.ts';\n", "")
    replace(repository, app, "[greetings, quotes]", "[greetings, baskets]")
    for path in ("src/routes/quotes.ts", "test/routes/quotes.test.ts"):
        (repository / "services/orders" / path).unlink()


def own_alert(repository: Path) -> None:
    """Add an alert with all that the checks want of one; it is Watchdog by another name."""

    def renamed(path: str, part: str) -> str:
        text = (repository / path).read_text(encoding="utf-8")
        found = re.search(part, text, re.S | re.M)
        assert found, f"{path}: mend the edit"
        return found[0].replace("Watchdog", "BasketsWatch")

    rules = "monitoring/rules/alerts-targets.yaml"
    head = renamed(rules, r"\A#.+?      rules:\n").replace("alerts-targets", "alerts-baskets")
    alert = renamed(rules, r"^ +- alert: Watchdog.+\Z")
    write(repository, "monitoring/rules/alerts-baskets.yaml", head + alert)
    kustomization = "monitoring/rules/kustomization.yaml"
    line = "  - alerts-latency.yaml\n"
    replace(repository, kustomization, line, f"  - alerts-baskets.yaml\n{line}")
    tests = renamed(
        "monitoring/tests/alerts-targets.yaml", r"^  - name: whatever happens.+?(?=^  - name|\Z)"
    )
    write(repository, "monitoring/tests/alerts-baskets.yaml", f"tests:\n{tests}")
    write(repository, "runbooks/BasketsWatch.md", renamed("runbooks/Watchdog.md", r".+"))
    for path, row in {
        "runbooks/README.md": r"^\| \[Watchdog\].+?\n",
        "monitoring/dev/rehearse.js": r"^  Watchdog: .+?\n",
    }.items():
        own = renamed(path, row)
        first = own.replace("BasketsWatch", "Watchdog")
        replace(repository, path, first, own + first)


def own_dependency(repository: Path) -> None:
    """Ask for a package that comes along already, so that nothing has to be downloaded."""
    for name in ("package.json", "package-lock.json"):
        file = repository / "services/orders" / name
        data = json.loads(file.read_text(encoding="utf-8"))
        part = data if name == "package.json" else data["packages"][""]
        part["dependencies"]["fastify-plugin"] = "6.0.1"
        part["dependencies"] = dict(sorted(part["dependencies"].items()))
        file.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def add_service(repository: Path) -> None:
    """Add a service as `make add-service` does: a copy of the first, by another name."""
    for folder in ("services", "deploy/apps"):
        copy = repository / folder / "payments"
        left_out = shutil.ignore_patterns("node_modules")
        shutil.copytree(repository / folder / "orders", copy, ignore=left_out)
        for file in files_of(copy):
            text = file.read_text(encoding="utf-8")
            file.write_text(re.sub(r"\borders\b", "payments", text), encoding="utf-8")


def delete(repository: Path) -> None:
    shutil.rmtree(repository / "docs")
    (repository / ".editorconfig").unlink()


def bump_actions(repository: Path) -> None:
    """Do what Dependabot does: another commit of an action, and the version behind it."""
    count = 0
    for file in sorted((repository / ".github/workflows").glob("*.yml")):
        text, found = re.subn(
            r"(uses: actions/checkout)@\S+ # \S+",
            rf"\1@{'c' * 40} # v7.9.9",
            file.read_text(encoding="utf-8"),
        )
        file.write_text(text, encoding="utf-8")
        count += found
    assert count or not (repository / ".github/workflows").is_dir()


EDITS = [
    Edit(
        "an objective",
        lambda repository: replace(repository, SLO, "vector(0.999)", "vector(0.995)"),
        {SLO: "vector(0.995)"},
    ),
    Edit(
        "replicas in production",
        lambda repository: replace(
            repository,
            PRODUCTION,
            "path: /spec/maxReplicas, value: 12",
            "path: /spec/maxReplicas, value: 40",
        ),
        {PRODUCTION: "path: /spec/maxReplicas, value: 40"},
    ),
    Edit(
        "memory of a service",
        lambda repository: replace(repository, WORKLOAD, "memory: 256Mi", "memory: 512Mi"),
        {WORKLOAD: "memory: 512Mi"},
    ),
    Edit(
        "the channel of alerts",
        lambda repository: replace(repository, ALERTMANAGER, '"#alerts"', '"#orders-on-call"'),
        {ALERTMANAGER: '"#orders-on-call"'},
    ),
    Edit(
        "facts of environments",
        facts,
        {FACTS.format(name): REGISTRY for name in ("dev", "staging", "production")},
    ),
    Edit(
        "a released digest",
        lambda repository: replace(repository, RELEASE.format("dev"), f"sha256:{'0' * 64}", DIGEST),
        {RELEASE.format("dev"): DIGEST},
    ),
    Edit(
        "a route of its own",
        own_route,
        {
            "services/orders/src/routes/baskets.ts": "/v1/baskets",
            "services/orders/src/app.ts": "[greetings, baskets]",
        },
        (
            "services/orders/src/routes/quotes.ts",
            "services/orders/test/routes/quotes.test.ts",
        ),
    ),
    Edit(
        "an alert of its own",
        own_alert,
        {
            "monitoring/rules/alerts-baskets.yaml": "BasketsWatch",
            "monitoring/rules/kustomization.yaml": "  - alerts-baskets.yaml\n",
            "monitoring/tests/alerts-baskets.yaml": "BasketsWatch",
            "runbooks/BasketsWatch.md": "# BasketsWatch",
            "runbooks/README.md": "[BasketsWatch](BasketsWatch.md)",
            "monitoring/dev/rehearse.js": "BasketsWatch: ",
        },
    ),
    Edit(
        "a dependency of its own",
        own_dependency,
        {
            "services/orders/package.json": '"fastify-plugin": "6.0.1"',
            "services/orders/package-lock.json": '"fastify-plugin": "6.0.1"',
        },
    ),
    Edit(
        "an added service",
        add_service,
        {
            "services/payments/package.json": '"name": "payments"',
            "deploy/apps/payments/base/service.yaml": "name: payments",
        },
    ),
    Edit(
        "deleted files and a deleted folder",
        delete,
        {},
        ("docs", ".editorconfig"),
    ),
    Edit(
        "a changed README",
        lambda repository: write(
            repository,
            "README.md",
            (repository / "README.md").read_text(encoding="utf-8") + "\nOur own words.\n",
        ),
        {"README.md": "Our own words."},
    ),
    Edit("actions moved on by Dependabot", bump_actions, {}),
]


def lost(repository: Path, edit: Edit) -> list[str]:
    """Return what is no longer there of an edit."""
    return [
        *(
            f"{path} lacks {text!r}"
            for path, text in edit.kept.items()
            if not (repository / path).is_file()
            or text not in (repository / path).read_text(encoding="utf-8")
        ),
        *(f"{path} is back" for path in edit.gone if (repository / path).exists()),
    ]


def content(repository: Path) -> dict[str, bytes]:
    """Return the files of a repository, by path, without what cruft writes."""
    return {
        str(path.relative_to(repository)): path.read_bytes()
        for path in files_of(repository)
        if path.name != ".cruft.json"
    }


def dependencies(installed: Path, repository: Path) -> None:
    """Give all packages of a repository the dependencies of another one."""
    for package in [repository / "checks", *sorted((repository / "services").iterdir())]:
        source = installed / ("checks" if package.name == "checks" else "services/orders")
        shutil.copytree(
            source / "node_modules", package / "node_modules", symlinks=True, copy_function=os.link
        )
