"""Every combination of answers passes the static checks of the repository that it gives.

A check that two combinations ask about the same files runs once. It sees nothing but the files that
stand beside it below, so that the list can't be too short.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Bake, Tools
from filelock import FileLock
from infra.terraform import environment as terraform_environment
from support import (
    BIN,
    LONGEST,
    ROOT,
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

# What each check of `make check` reads, besides the Makefile, the pins and the code of the checks.
CHECKS = {
    "check-services": ["services"],
    "lint-checks": [],
    "lint-images": ["services/*/Dockerfile", "services/*/package.json"],
    "lint-scripts": ["**/*.sh"],
    "lint-rules": ["monitoring/rules", "monitoring/tests", "runbooks", "services/*/package.json"],
    "lint-alertmanager": ["monitoring/alertmanager", "services/*/package.json"],
    "lint-dashboards": ["monitoring/dashboards"],
    "lint-deploy": ["deploy", "monitoring", "services/*/package.json"],
    "lint-infra": ["infra", "services/*/package.json"],
    "lint-workflows": [".github"],
    "test-scripts": [
        ".github",
        "services",
        "deploy/apps/*/overlays/*/release.yaml",
        "deploy/environments",
        "infra/envs",
    ],
    "contracts": ["*"],
    "yamllint": ["*"],
}
ALWAYS = ["Makefile", "mise.toml", "checks"]


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


def inputs(repository: Path, check: str) -> list[Path]:
    """Return the files that a check sees."""
    found: set[Path] = set()
    for pattern in [*ALWAYS, *CHECKS[check]]:
        matches = list(repository.glob(pattern))
        assert matches, f"{check}: nothing is named {pattern}"
        for match in matches:
            found.update(files_of(match) if match.is_dir() else [match])
    return sorted(found)


def judge(check: str, repository: Path, folder: Path, ready: Path, tools: Tools) -> str:
    """Return what a check says of some of a repository's files, or nothing when it passes."""
    copy = folder / repository.name
    for path in inputs(repository, check):
        there = copy / path.relative_to(repository)
        there.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, there)
    if check == "yamllint":
        command: list[str | Path] = [
            BIN / "yamllint",
            "--strict",
            "--config-file",
            ROOT / ".yamllint.yaml",
            ".",
        ]
    else:
        installed = {"checks": ready / "checks"}
        services = [path.parent.name for path in copy.glob("services/*/package.json")]
        installed |= {f"services/{name}": ready / "services/orders" for name in services}
        for name, there in installed.items():
            (copy / name / "node_modules").symlink_to(there / "node_modules")
        target = f"check-{services[0]}" if check == "check-services" else check
        # What is installed is older than what was just generated.
        command = ["make", *(f"--old-file={name}/node_modules" for name in installed), target]
    result = run(
        *command,
        cwd=copy,
        path=tools.folder(),
        check=False,
        timeout=900,
        environment={"NO_COLOR": "1", **schema_environment(), **terraform_environment()},
    )
    shutil.rmtree(folder)
    return "" if result.returncode == 0 else result.stdout + result.stderr or "no output"


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
    request: pytest.FixtureRequest,
) -> None:
    repository = bake(**answers)
    failed = {}
    for check in CHECKS:
        key = hashlib.sha256(check.encode())
        for path in inputs(repository, check):
            key.update(f"{path.relative_to(repository)}\0".encode() + path.read_bytes() + b"\0")
        result = judged / f"{check}-{key.hexdigest()[:16]}"
        with FileLock(f"{result}.lock"):
            if not result.exists():
                said = judge(check, repository, result.with_suffix(".files"), ready_repo, tools)
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
