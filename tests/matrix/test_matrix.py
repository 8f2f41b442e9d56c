"""Every combination of answers passes the static checks of the repository that it gives.

A check that two combinations ask about the same files runs once. It sees nothing but the files that
stand beside it below, so that the list can't be too short.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Bake, Tools
from filelock import FileLock
from infra.terraform import environment as terraform_environment
from support import (
    BIN,
    LONGEST,
    ROOT,
    TEMPLATE,
    Answers,
    choices,
    every_combination,
    files_of,
    name_of,
    run,
    schema_environment,
)

# What people type, at its limits; it takes turns too.
TEXTS: dict[str, Answers] = {
    "usual": {},
    "longest": {**LONGEST, "slo_availability": "99.99", "slo_latency_ms": "9999.5"},
    "odd": {
        "project_name": "Blue 'Line' \"2\"",
        "project_slug": "b2",
        "description": 'It\'s 100 % \\ "safe" & <sound> ${{ x }} שלום',
        "github_owner": "Blue-Line",
        "service_name": "t-1",
        "aws_region": "us-gov-west-1",
        "slack_channel": "blue_line-1",
        "alert_email": "on.call+blue@example.co.uk",
        "slo_availability": "93.07",
        "slo_latency_ms": "1234.5",
    },
}

# What each check of `make check` reads, besides what stands below, and yamllint.
CHECKS = {
    "tools": [],
    "check-services": ["services"],
    "lint-checks": ["checks", ".github/scripts", "monitoring/dev"],
    "lint-images": ["services/*/Dockerfile"],
    "lint-scripts": ["**/*.sh"],
    "lint-rules": ["monitoring/rules", "runbooks"],
    "lint-rule-tests": ["monitoring/rules", "monitoring/tests"],
    "lint-alertmanager": ["monitoring/alertmanager"],
    "lint-dashboards": ["monitoring/dashboards"],
    "lint-deploy": ["deploy", "monitoring"],
    "lint-infra": ["infra"],
    "lint-workflows": [".github"],
    "test-scripts": [
        ".github",
        "deploy/apps/*/overlays/*/release.yaml",
        "deploy/environments",
        "infra/envs",
    ],
    "contracts": ["*"],
    "yamllint": ["*"],
}
# What all of them read.
ALWAYS = ["checks/lib", "checks/package*.json", "checks/require-tool.sh"]
# Files that are only looked for. Where they are not read as well, they are empty.
NAMES = ["services/*/package.json", "services/*/src/server.ts"]


def combinations() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield a name and the answers of each combination of choices, with texts that take turns.

    A text changes everything below infra/, which takes longest to judge; with the sum of the three
    answers that Terraform and manifests share, each text meets every other answer all the same.
    """
    asked = choices()
    for answers in every_combination():
        turn = sum(
            asked[name].index(answers[name])
            for name in ("container_registry", "manifests", "compute")
        )
        kind = list(TEXTS)[turn % len(TEXTS)]
        yield f"{name_of(answers)}-{kind}", {**answers, **TEXTS[kind]}


def test_every_two_answers_meet() -> None:
    """Choices that stand alone, and texts, are tried pairwise with all others."""
    rows = [
        {**{name: answers[name] for name in choices()}, "text": name.rsplit("-", 1)[1]}
        for name, answers in combinations()
    ]
    values = {**choices(), "text": list(TEXTS)}
    for one, other in itertools.combinations(values, 2):
        met = {(row[one], row[other]) for row in rows}
        missing = set(itertools.product(values[one], values[other])) - met
        assert not missing, f"no combination has {one} and {other} as {missing}"
    alone = {name: len(choices()[name]) for name in choices() if name != "license"}
    product = list(itertools.product(*(choices()[name] for name in alone)))
    assert sorted(product) == sorted(tuple(row[name] for name in alone) for row in rows)


class Question:
    """What a check is asked: its commands, and the files that it sees."""

    def __init__(self, check: str, repository: Path) -> None:
        self.check = check
        self.repository = repository
        self.read = self._found([*ALWAYS, *CHECKS[check]])
        self.named = self._found(NAMES) - self.read
        self.services = [path.parent.name for path in repository.glob("services/*/package.json")]
        if check == "yamllint":
            rules = ROOT / ".yamllint.yaml"
            self.command = [str(BIN / "yamllint"), "--strict", "--config-file", str(rules), "."]
        else:
            # What is installed is older than what was just generated.
            installed = ["checks", *(f"services/{name}" for name in self.services)]
            old = (f"--old-file={name}/node_modules" for name in installed)
            target = f"check-{self.services[0]}" if check == "check-services" else check
            self.command = ["make", *old, target]

    def _found(self, patterns: list[str]) -> set[Path]:
        found: set[Path] = set()
        for pattern in patterns:
            matches = list(self.repository.glob(pattern))
            assert matches, f"{self.check}: nothing is named {pattern}"
            for match in matches:
                found.update(files_of(match) if match.is_dir() else [match])
        return found

    def key(self) -> str:
        """Return what is equal for equal questions.

        The pins in mise.toml are left to the check `tools`.
        """
        key = hashlib.sha256(self.check.encode())
        if self.command[0] == "make":
            commands = run(*self.command, "--dry-run", cwd=self.repository).stdout
            key.update(commands.encode())
        if self.check == "tools":
            key.update((self.repository / "mise.toml").read_bytes())
        for path in sorted(self.read):
            key.update(f"{path.relative_to(self.repository)}\0".encode())
            key.update(path.read_bytes() + b"\0")
        for path in sorted(self.named):
            key.update(f"{path.relative_to(self.repository)}\0".encode())
        return f"{self.check}-{key.hexdigest()[:16]}"

    def answer(self, folder: Path, ready: Path, tools: Tools) -> str:
        """Return what the check says, in a folder with nothing else, or nothing when it passes."""
        copy = folder / self.repository.name
        for path in {*self.read, self.repository / "Makefile", self.repository / "mise.toml"}:
            os.link(path, below(copy / path.relative_to(self.repository)))
        for path in self.named:
            below(copy / path.relative_to(self.repository)).touch()
        if self.command[0] == "make":
            installed = {f"services/{name}": ready / "services/orders" for name in self.services}
            for name, there in {"checks": ready / "checks", **installed}.items():
                (copy / name / "node_modules").symlink_to(there / "node_modules")
        result = run(
            *self.command,
            cwd=copy,
            path=tools.folder(),
            check=False,
            timeout=900,
            environment={"NO_COLOR": "1", **schema_environment(), **terraform_environment()},
        )
        shutil.rmtree(folder)
        return "" if result.returncode == 0 else result.stdout + result.stderr or "no output"


def below(path: Path) -> Path:
    """Return a path whose folder is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_all_checks_are_asked() -> None:
    """What `make check` does in a repository is what is done here."""
    makefile = (TEMPLATE / "Makefile").read_text(encoding="utf-8")
    found = re.search(r"^check: (.*?) ##", makefile, flags=re.M)
    assert found
    named = found[1].replace("$(SERVICES:%=check-%)", "check-services").split()
    assert sorted(named) == sorted(set(CHECKS) - {"yamllint"})


@pytest.mark.matrix
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "answers", [pytest.param(answers, id=name) for name, answers in combinations()]
)
def test_a_combination_passes_its_checks(
    answers: Answers,
    bake: Bake,
    ready_repo: Path,
    tools: Tools,
    judged: Path,
    record_property: Callable[[str, object], None],
    request: pytest.FixtureRequest,
) -> None:
    repository = bake(**answers)
    failed = {}
    for check in CHECKS:
        question = Question(check, repository)
        result = judged / question.key()
        with FileLock(f"{result}.lock"):
            if not result.exists():
                started = time.monotonic()
                said = question.answer(result.with_suffix(".files"), ready_repo, tools)
                record_property(check, time.monotonic() - started)
                result.write_text(said, encoding="utf-8")
        if said := result.read_text(encoding="utf-8"):
            failed[check] = said
    again = " ".join(f"{name}={value!r}" for name, value in answers.items())
    assert not failed, "\n".join(
        [
            *(f"{check}:\n{said[-4000:]}" for check, said in failed.items()),
            f"{', '.join(failed)} failed with {again}",
            f"Again: make matrix ONLY={request.node.callspec.id}",
        ]
    )
