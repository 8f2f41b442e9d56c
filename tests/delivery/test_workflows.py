"""Workflows are valid, ask for little, and their scripts and gates do what they say."""

from __future__ import annotations

import datetime
import itertools
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Bake, Deployable, Tools, commit
from support import ROOT, choices, name_of, run

COMBINATIONS = [
    {"container_registry": registry, "manifests": manifests}
    for registry, manifests in itertools.product(
        *(choices()[name] for name in ("container_registry", "manifests"))
    )
]
EACH = pytest.mark.parametrize("answers", COMBINATIONS, ids=name_of)


@EACH
def test_actionlint_and_zizmor_have_nothing_to_say(
    bake: Bake, tools: Tools, answers: dict[str, str]
) -> None:
    repository = bake(**answers)
    make = ("make", "lint-workflows")
    result = run(*make, cwd=repository, path=tools.folder("actionlint", "zizmor", "shellcheck"))
    assert "No findings to report" in result.stdout + result.stderr
    for path in sorted((repository / ".github").rglob("*")):
        assert path.name not in ("zizmor.yml", "zizmor.yaml", "actionlint.yaml"), path
        if path.is_file():
            assert "zizmor: ignore" not in path.read_text(encoding="utf-8"), path


@pytest.mark.slow
@EACH
def test_the_repository_judges_its_workflows_good(
    deployable: Deployable, tools: Tools, answers: dict[str, str]
) -> None:
    # Without the others, of which some read the services' dependencies too.
    run(
        "node", "--test", "checks/workflows.test.js", "checks/waivers.test.js",
        cwd=deployable(**answers), path=tools.folder("node"),
    )  # fmt: skip


def test_shellcheck_reads_every_shell_script(default_repo: Path) -> None:
    makefile = (default_repo / "Makefile").read_text(encoding="utf-8")
    line = re.search(r"^\tshellcheck (.+)$", makefile, re.M)
    assert line
    read = {path for pattern in line[1].split() for path in default_repo.glob(pattern)}
    assert read == set(default_repo.rglob("*.sh"))


def test_adopters_are_shown_the_tables_of_a_repository(default_repo: Path) -> None:
    shown = (ROOT / "docs/delivery.md").read_text(encoding="utf-8")
    findings = (default_repo / "docs/findings.md").read_text(encoding="utf-8")
    permissions = (default_repo / "docs/permissions.md").read_text(encoding="utf-8")
    for text in (permissions, findings.split("## OpenSSF Scorecard")[1]):
        rows = re.findall(r"^\|.+$", text, re.M)
        assert len(rows) > 8
        for row in rows:
            plain = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", row)
            assert plain in shown.splitlines(), f"docs/delivery.md lacks {plain}"


@pytest.mark.parametrize("owner", ["acme", "Acme-GmbH"])
def test_the_signer_that_clusters_trust_is_the_workflow(bake: Bake, owner: str) -> None:
    repository = bake(github_owner=owner, project_slug="blue-line")
    policy = repository / "deploy/platform-config/base/image-signatures.yaml"
    subject = re.search(r"subject: >-\n +(\S+)", policy.read_text(encoding="utf-8"))
    assert subject
    match = re.fullmatch(
        rf"https://github\.com/{owner}/blue-line/(\.github/workflows/release\.yml)@refs/heads/main",
        subject[1],
    )
    assert match and (repository / match[1]).is_file(), subject[1]


# ------------------------------------------------------------------ the gate of files, by real Trivy


@pytest.fixture
def scanned(deployable: Deployable, tools: Tools, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Return a function that changes a repository, scans its files, and returns status and output."""

    def scan(change: Callable[[Path], object] | None = None, **answers: str) -> tuple[int, str]:
        repository = tmp_path / "scanned"
        if not repository.exists():
            shutil.copytree(deployable(**answers), repository, symlinks=True)
        if change:
            change(repository)
        path = tools.folder("node", "kustomize", "helm", "trivy")
        result = run("make", "scan-files", cwd=repository, path=path, check=False)
        return result.returncode, result.stdout + result.stderr

    return scan


Scanned = Callable[..., tuple[int, str]]


def replace(path: str, old: str, new: str) -> Callable[[Path], object]:
    """Return a change of one text in one file."""

    def change(repository: Path) -> None:
        text = (repository / path).read_text(encoding="utf-8")
        assert old in text, f"{path} holds no {old!r}"
        (repository / path).write_text(text.replace(old, new), encoding="utf-8")

    return change


# Each answer that changes manifests or Terraform meets each other one.
SCANNED = [
    ("kustomize", "rolling", "ecr", "managed-nodes"),
    ("kustomize", "canary", "ghcr", "auto-mode"),
    ("helm", "rolling", "ghcr", "managed-nodes"),
    ("helm", "canary", "ecr", "auto-mode"),
]


@pytest.mark.long
@pytest.mark.parametrize("answers", SCANNED, ids="-".join)
def test_trivy_finds_nothing_in_the_files(scanned: Scanned, answers: tuple[str, ...]) -> None:
    names = ("manifests", "rollout", "container_registry", "compute")
    status, output = scanned(**dict(zip(names, answers, strict=True)))
    assert status == 0 and "nothing was found" in output, output
    assert "no longer broken" not in output, f"remove it from NOT_FOLLOWED:\n{output}"


PRIVILEGED = replace(
    "deploy/apps/orders/base/workload.yaml", "privileged: false", "privileged: true"
)
ROOT_USER = replace("services/orders/Dockerfile", "USER 65532:65532", "USER root")


@pytest.mark.long
@pytest.mark.parametrize(
    ("answers", "change", "finding"),
    [
        ({}, PRIVILEGED, r"HIGH KSV-0017 deploy/apps/orders/overlays/production\.yaml:\d+"),
        ({"rollout": "canary"}, PRIVILEGED, r"HIGH KSV-0017 deploy/apps/orders/overlays/dev\.yaml"),
        ({}, ROOT_USER, r"HIGH DS-0002 services/orders/Dockerfile:\d+"),
        (
            {},
            # In parts, so that no scanner takes this file for the fault.
            lambda repository: (repository / "notes.txt").write_text(
                "ghp_" + "016C7Ff3B2a1D9e8F7c6B5a4938271605f4e\n"
            ),
            r"CRITICAL github-pat notes\.txt:1",
        ),
        (
            {},
            lambda repository: [
                (repository / "infra").mkdir(exist_ok=True),
                (repository / "infra/open.tf").write_text(
                    'resource "aws_security_group_rule" "open" {\n'
                    '  type = "ingress"\n  description = "x"\n  protocol = "tcp"\n'
                    '  from_port = 22\n  to_port = 22\n  security_group_id = "sg-1"\n'
                    '  cidr_blocks = ["0.0.0.0/0"]\n}\n'
                ),
            ],
            r"HIGH AWS-0107 infra/open\.tf:\d+",
        ),
    ],
    ids=["privileged", "privileged-canary", "root", "secret", "terraform"],
)
def test_a_finding_stops(
    scanned: Scanned, answers: dict[str, str], change: Callable[[Path], object], finding: str
) -> None:
    status, output = scanned(change, **answers)
    assert status != 0 and re.search(finding, output), output
    assert "docs/findings.md" in output


def waive(until: str) -> Callable[[Path], object]:
    """Return a change that waives the root user until a day."""

    def change(repository: Path) -> None:
        (repository / ".trivyignore.yaml").write_text(
            "misconfigurations:\n"
            "  - id: DS-0002\n"
            "    statement: The base image forbids another user until March.\n"
            '    owner: "@acme/web"\n'
            f"    expired_at: {until}\n"
            "    paths: [services/orders/Dockerfile]\n"
        )

    return change


@pytest.mark.long
def test_a_waiver_lifts_a_finding_until_its_day(scanned: Scanned) -> None:
    today = datetime.datetime.now(datetime.UTC).date()
    assert scanned(ROOT_USER)[0] != 0
    status, output = scanned(waive(str(today + datetime.timedelta(days=1))))
    assert status == 0, output
    status, output = scanned(waive(str(today)))
    assert status != 0 and "DS-0002" in output, output


@pytest.mark.long
@pytest.mark.parametrize(
    "answers",
    [{}, {"container_registry": "ghcr", "license": "proprietary"}],
    ids=["default", "ghcr-proprietary"],
)
def test_scorecard_gives_what_the_document_says(
    bake: Bake, tools: Tools, tmp_path: Path, answers: dict[str, str]
) -> None:
    """The other checks ask GitHub, or services that tests should not depend on."""
    repository = tmp_path / "acme-shop"
    shutil.copytree(bake(**answers), repository)
    commit(repository)
    document = (repository / "docs/findings.md").read_text(encoding="utf-8")
    table = document.split("## OpenSSF Scorecard")[1]
    promised = {
        name: int(score) for name, score in re.findall(r"^\| ([\w-]+) \| (\d+) \|", table, re.M)
    }
    assert len(promised) >= 8
    names = ",".join(promised)
    result = run(
        tools.path("scorecard"), "--local=.", "--format=json", f"--checks={names}", cwd=repository
    )  # fmt: skip
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert {name: check["score"] for name, check in checks.items()} == promised, checks
