"""The commands of the generated docs work as they stand there."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from conftest import Deployable, Tools, commit, link_dependencies
from manifests import DIGEST, NO_DIGEST, objects, render
from support import choices, run, schema_environment, shell_blocks

from tools import fetch

pytestmark = pytest.mark.slow

IDENTITY = ("-c", "user.name=Test", "-c", "user.email=test@example.com")


@pytest.fixture
def repository(deployable: Deployable, tmp_path: Path) -> Path:
    """A committed repository that the test may change."""
    copy = tmp_path / "acme-shop"
    shutil.copytree(deployable(), copy, symlinks=True)
    return commit(copy)


def digest(repository: Path, environment: str) -> str:
    """Return the digest that an environment runs."""
    path = repository / f"deploy/apps/orders/overlays/{environment}/release.yaml"
    found = re.search(r"^  digest: (\S+)$", path.read_text(encoding="utf-8"), re.M)
    assert found, path
    return found[1]


def release(repository: Path, *arguments: str) -> str:
    """Run `make release` or `make promote`; return what it says against it."""
    result = run(
        "make", "--silent", *arguments, cwd=repository, path=fetch.commands(), check=False
    )  # fmt: skip
    return result.stderr if result.returncode else ""


def test_a_release_is_promoted_and_rolled_back(repository: Path, tmp_path: Path) -> None:
    assert release(repository, "release", "ENV=dev", f"DIGEST={DIGEST}") == ""
    commit(repository)
    (promote,) = shell_blocks(repository, "delivery.md", "By hand")
    run("bash", "-e", "-c", promote, cwd=repository, path=fetch.commands())
    assert digest(repository, "staging") == DIGEST
    # The comment of the file is that of its environment still.
    text = (repository / "deploy/apps/orders/overlays/staging/release.yaml").read_text("utf-8")
    assert "runs in staging" in text
    commit(repository)
    # It goes by a pull request, as `main` takes nothing else.
    origin = tmp_path / "origin.git"
    run("git", "clone", "--quiet", "--bare", repository, origin, cwd=tmp_path)
    run("git", "remote", "add", "origin", origin, cwd=repository)
    run("git", "fetch", "--quiet", "origin", cwd=repository)
    run("git", "branch", "--quiet", "--set-upstream-to=origin/main", "main", cwd=repository)
    path = tmp_path / "bin"
    path.mkdir()
    (path / "gh").write_text(f'#!/bin/sh\necho "$*" >"{tmp_path}/asked"\n', encoding="utf-8")
    (path / "gh").chmod(0o755)
    (block,) = shell_blocks(repository, "delivery.md", "Roll back")
    for word, value in {
        "ENV": "staging",
        "COMMIT": "HEAD",
        "git ": f"git {' '.join(IDENTITY)} ",
    }.items():
        block = block.replace(word, value)
    run("bash", "-e", "-c", block, cwd=repository, path=path)
    assert (tmp_path / "asked").read_text(encoding="utf-8") == "pr create --fill\n"
    pushed = run("git", "rev-parse", "roll-back", "main", cwd=origin).stdout.split()
    own = run("git", "rev-parse", "HEAD", "HEAD^", cwd=repository).stdout.split()
    assert pushed == own, "the branch is not pushed, or main is"
    assert digest(repository, "staging") == NO_DIGEST
    assert digest(repository, "dev") == DIGEST


def test_nothing_is_pushed_to_main(deployable: Deployable) -> None:
    """Once the ruleset is there, GitHub refuses it."""
    documents = [*(deployable() / "docs").glob("*.md"), *(deployable() / "runbooks").glob("*.md")]
    found = 0
    for document in documents:
        for block in re.findall(r"```sh\n(.+?)```", document.read_text(encoding="utf-8"), re.S):
            if "git push" not in block:
                continue
            found += 1
            lines = [line.strip() for line in block.strip().splitlines()]
            branch = "".join(re.findall(r"git switch --create (\S+)", block))
            end = [f"git push --set-upstream origin {branch}", "gh pr create --fill"]
            assert branch and lines[-2:] == end, f"{document.name} pushes to main: {lines}"
    assert found >= 2


def test_the_guard_is_there_before_the_roles(deployable: Deployable) -> None:
    blocks = shell_blocks(deployable(), "infra.md", "Step by step")
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    setup = [index for index, line in enumerate(lines) if line == "make github-setup APPLY=yes"]
    roles = lines.index("make bootstrap-aws")
    assert len(setup) == 2 and setup[0] < roles < setup[1], lines
    assert lines.index("make bootstrap ENV=dev") < lines.index("gh workflow run release.yml")


@pytest.mark.parametrize("registry", choices()["container_registry"])
def test_each_secret_that_is_read_is_made_as_documented(
    deployable: Deployable, registry: str
) -> None:
    repository = deployable(container_registry=registry)
    wanted: dict[str, set[str]] = {}
    for found in objects(render(repository, "dev")):
        if found["kind"] == "ExternalSecret":
            for entry in found["spec"]["data"]:
                name = entry["remoteRef"]["key"].removeprefix("acme-shop/dev/")
                wanted.setdefault(name, set()).add(entry["remoteRef"]["property"])
    assert {"grafana", "notifications"} <= wanted.keys()
    text = "".join(
        (repository / "docs" / name).read_text(encoding="utf-8")
        for name in ("bootstrap.md", "alerting.md")
    )
    recipes = re.findall(
        r"`(\S+\.json)`[^`]*\n```json\n([^`]+)```\n\n```sh\n"
        r"aws secretsmanager create-secret --region \S+ \\\n"
        r"  --name acme-shop/ENV/(\S+) --secret-string file://(\S+)\nrm (\S+)\n```",
        text,
    )
    assert {name: set(json.loads(keys)) for _, keys, name, *_ in recipes} == wanted
    for named, _, _, *files in recipes:
        assert files == [named, named]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["release", "ENV=dev", "DIGEST=v1"], "DIGEST=v1: must be sha256: and 64 of 0-9 and a-f"),
        (["release", "ENV=dev"], "DIGEST=: must be sha256:"),
        (["release", "ENV=dev", f"DIGEST={NO_DIGEST}"], "must be sha256: and 64"),
        (["release", "ENV=prod", f"DIGEST={DIGEST}"], "ENV=prod: there is no such environment"),
        (["release", "NAME=order", f"DIGEST={DIGEST}"], "NAME=order: there is no such service; there are orders"),
        (["promote", "FROM=dev", "ENV=staging"], "orders has not been released to dev, so there is nothing to promote"),
        (["promote", "FROM=prod", "ENV=staging"], "ENV=prod: there is no such environment"),
    ],
)  # fmt: skip
def test_a_release_that_cannot_be_is_refused(
    repository: Path, arguments: list[str], message: str
) -> None:
    assert message in release(repository, *arguments)
    assert run("git", "status", "--porcelain", cwd=repository).stdout == ""


@pytest.mark.parametrize("manifests", ["kustomize", "helm"])
def test_an_environment_is_added_as_documented(
    deployable: Deployable, ready_repo: Path, tools: Tools, tmp_path: Path, manifests: str
) -> None:
    repository = tmp_path / "acme-shop"
    shutil.copytree(deployable(manifests=manifests), repository, symlinks=True)
    link_dependencies(ready_repo / "services/orders", repository / "services/orders")
    (add,) = shell_blocks(repository, "environments.md", "Add one")
    run("bash", "-e", "-u", "-c", add, cwd=repository)
    path = tools.folder()
    run("make", "contracts", cwd=repository, path=path)
    if manifests == "kustomize":
        # The service is the same with Helm.
        run("make", "test-orders", cwd=repository, path=path)
    result = run("make", "lint-deploy", cwd=repository, path=path, environment=schema_environment())
    assert "demo:" in result.stdout and result.stdout.count("Invalid: 0, Errors: 0") == 4
    assert digest(repository, "demo") == NO_DIGEST
    rendered = run("make", "--silent", "render", "ENV=demo", cwd=repository, path=path).stdout
    left = [line for line in rendered.splitlines() if "staging" in line]
    assert left == [] and "/demo/" in rendered, left
