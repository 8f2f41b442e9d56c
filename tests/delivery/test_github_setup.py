"""`make github-setup` asks GitHub for what GitHub knows, and a second run asks for nothing.

GitHub cannot be asked here: the generated repository's own stand-in answers, and each request is compared
with the description that GitHub publishes of its API (`tools/github_api.py`).
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import Deployable, Tools
from support import ROOT, choices, run

DESCRIPTION = json.loads((ROOT / "tests/delivery/github-api.json").read_text(encoding="utf-8"))
PYTHON_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
}

Json = dict[str, Any]


def faults(value: object, schema: Json, place: str = "") -> list[str]:
    """Return what a schema does not admit, or does not know."""
    if value is None and schema.get("nullable"):
        return []
    alternatives = schema.get("oneOf") or schema.get("anyOf")
    if alternatives:
        found = [faults(value, alternative, place) for alternative in alternatives]
        if [] not in found:
            return min(found, key=len)
        return []
    kind = schema.get("type")
    wrong_bool = isinstance(value, bool) and kind == "integer"
    if kind and (wrong_bool or not isinstance(value, PYTHON_TYPES[kind])):
        return [f"{place}: {value!r} is no {kind}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{place}: {value!r} is none of {schema['enum']}"]
    result = []
    if isinstance(value, dict):
        known = schema.get("properties", {})
        result += [
            f"{place}: no {name}" for name in schema.get("required", []) if name not in value
        ]
        for name, part in value.items():
            where = f"{place}.{name}"
            result += (
                faults(part, known[name], where) if name in known else [f"{where} is not known"]
            )
    if isinstance(value, list):
        for index, part in enumerate(value):
            result += faults(part, schema.get("items", {}), f"{place}[{index}]")
    return result


def operation(method: str, path: str) -> Json | None:
    """Return the schema of the body of a request; None if it has none."""
    for template, methods in DESCRIPTION.items():
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, f"/{path}") and method in methods:
            body: Json | None = methods[method]
            return body
    pytest.fail(f"GitHub does not describe {method} {path}")


def test_the_description_is_one_that_refuses() -> None:
    rulesets = operation("POST", "repos/acme/shop/rulesets")
    assert rulesets
    rule = {"type": "pull_request", "parameters": {"require_code_owner_review": "yes"}}
    assert faults({"name": "main", "enforcement": "active", "rules": [rule]}, rulesets)
    assert faults({"name": "main", "enforcement": "on"}, rulesets)
    assert faults({"name": "main", "enforcement": "active", "colour": "red"}, rulesets)
    assert not faults({"name": "main", "enforcement": "active"}, rulesets)


class Setup:
    """A repository, and the GitHub that its `gh` reaches."""

    def __init__(self, repository: Path, folder: Path, tools: Tools, owner: str) -> None:
        self.repository = repository
        self.path = folder / "bin"
        self.state = folder / "github.json"
        self.log = folder / "log"
        self.path.mkdir()
        for name in ("node", "npm"):
            (self.path / name).symlink_to((tools.folder("node") / name).resolve())
        origin = f"git@github.com:{owner}/acme-shop.git"
        for name, script in {
            "gh": f'echo "$*" >> "{self.log}"\n[ "$1" = --version ] || exec node .github/scripts/testing/github.js "$@"',
            "git": f'echo "{origin}"',
        }.items():
            (self.path / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
            (self.path / name).chmod(0o755)
        self.save({"name": f"{owner}/acme-shop"})

    def save(self, state: Json) -> None:
        self.state.write_text(json.dumps(state), encoding="utf-8")

    def load(self) -> Json:
        state: Json = json.loads(self.state.read_text(encoding="utf-8"))
        return state

    def run(self, *arguments: str, check: bool = True) -> str:
        result = run(
            "make", "--silent", "github-setup", *arguments, cwd=self.repository, path=self.path,
            environment={"GITHUB_STATE": str(self.state)}, check=check,
        )  # fmt: skip
        return result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("registry", choices()["container_registry"])
def test_it_asks_for_what_github_knows_and_only_once(
    deployable: Deployable, tools: Tools, tmp_path: Path, registry: str
) -> None:
    repository = tmp_path / "acme-shop"
    baked = deployable(container_registry=registry, github_owner="Acme-GmbH")
    shutil.copytree(baked, repository, symlinks=True)
    role = "arn:aws:iam::111122223333:role/publish"
    given: Json = {
        "repository": {"AWS_PUBLISH_ROLE_ARN": role} if registry == "ecr" else {},
        "environments": {"plan-dev": {"AWS_ROLE_ARN": role, "TF_STATE_BUCKET": "state"}},
    }
    file = repository / "infra/github-variables.json"
    file.write_text(json.dumps(given), encoding="utf-8")
    setup = Setup(repository, tmp_path, tools, "Acme-GmbH")
    arguments = ["GITOPS_APP=acme-gitops"]

    shown = setup.run(*arguments)
    assert "Nothing was changed." in shown and setup.load()["calls"] == []
    assert "environment release: branches: none -> main" in shown
    assert "Acme-GmbH/acme-shop:environment:apply-production" in shown
    assert ("Acme-GmbH/acme-shop:environment:release" in shown) == (registry == "ecr")
    assert ("AWS_PULL_ROLE_ARN is not set" in shown) == (registry == "ecr")

    assert "Done." in setup.run(*arguments, "APPLY=yes")
    calls = setup.load()["calls"]
    for call in calls:
        schema = operation(call["method"], call["path"])
        assert (schema is None) == (call.get("body") is None), call
        if schema is not None:
            assert faults(call["body"], schema) == [], call
    asked = re.findall(
        r"^api --method (\w+) .* ([^ ?\n]+)(?:\?\S+)?$", setup.log.read_text("utf-8"), re.M
    )
    assert len(asked) > len(calls)
    for method, path in asked:
        operation(method, path)

    assert "Nothing is to be changed." in setup.run("APPLY=yes")
    state = setup.load()
    assert len(state["calls"]) == len(calls)
    variables = {
        path.rsplit("/", 1)[1]: entry["value"]
        for path, entry in state["resources"].items()
        if "/actions/variables/" in path
    }
    assert variables == {"GITOPS_APP_CLIENT_ID": "Iv23liEXAMPLE"} | given["repository"]
    place = "repos/Acme-GmbH/acme-shop/environments/plan-dev/variables"
    assert state["resources"][f"{place}/AWS_ROLE_ARN"]["value"] == role


@pytest.mark.slow
def test_environments_follow_the_workflows(
    deployable: Deployable, tools: Tools, tmp_path: Path
) -> None:
    repository = tmp_path / "acme-shop"
    shutil.copytree(deployable(), repository, symlinks=True)
    workflow = repository / ".github/workflows/release.yml"
    text = workflow.read_text(encoding="utf-8")
    assert "environment: dev-deploy" in text
    workflow.write_text(text.replace("environment: dev-deploy", "environment: other"), "utf-8")
    shown = Setup(repository, tmp_path, tools, "acme").run("GITOPS_APP=acme-gitops")
    assert "environment other: branches: none -> main" in shown
    assert "missing in environment other" in shown and "dev-deploy" not in shown
