"""`make github-setup` asks GitHub for what GitHub knows, and a second run asks for nothing; so do plans' comments.

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
        self.path.mkdir()
        for name in ("node", "npm"):
            (self.path / name).symlink_to((tools.folder("node") / name).resolve())
        origin = f"git@github.com:{owner}/acme-shop.git"
        for name, script in {
            "gh": '[ "$1" = --version ] || exec node .github/scripts/testing/github.js "$@"',
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


# In one process: a `gh` for each request would take a minute. `make github-setup` itself runs below.
TWICE = """
import { setUp } from './.github/scripts/github-setup.js';
import { GitHub } from './.github/scripts/testing/github.js';

const { owner, bootstrap } = JSON.parse(process.argv[1]);
const name = `${owner}/acme-shop`;
const github = new GitHub({ name });
const asked = [];
const runs = [false, true, true].map((apply) => {
  const lines = [];
  const { changes, todo } = setUp({
    api: (method, path, body) => {
      asked.push({ method, path: path.split('?')[0], body });
      return github.request(method, path, body);
    },
    origin: `git@github.com:${name}.git`,
    environment: { GITOPS_APP: 'acme-gitops' },
    bootstrap,
    apply,
    say: (line) => lines.push(line),
  });
  return { changes, said: [...lines, ...todo].join('\\n'), calls: github.calls.length };
});
console.log(JSON.stringify({ runs, asked, resources: github.resources }));
"""


@pytest.mark.slow
@pytest.mark.parametrize("registry", choices()["container_registry"])
def test_it_asks_for_what_github_knows_and_only_once(
    deployable: Deployable, tools: Tools, registry: str
) -> None:
    owner = "Acme-GmbH"
    role = "arn:aws:iam::111122223333:role/publish"
    bootstrap: Json = {
        "repository": {"AWS_PUBLISH_ROLE_ARN": role} if registry == "ecr" else {},
        "environments": {"plan-dev": {"AWS_ROLE_ARN": role, "TF_STATE_BUCKET": "state"}},
    }
    given = json.dumps({"owner": owner, "bootstrap": bootstrap})
    found = json.loads(
        run(
            "node", "--input-type=module", "--eval", TWICE, given,
            cwd=deployable(container_registry=registry, github_owner=owner),
            path=tools.folder("node"),
        ).stdout
    )  # fmt: skip
    shown, done, again = found["runs"]
    assert (shown["calls"], shown["changes"] > 20) == (0, True)
    assert "environment release: branches: none -> main" in shown["said"]
    assert f"repo:{owner}@12/acme-shop@34:environment:apply-production" in shown["said"]
    assert (":environment:release" in shown["said"]) == (registry == "ecr")
    assert ("AWS_PULL_ROLE_ARN is not set" in shown["said"]) == (registry == "ecr")
    assert done["changes"] == shown["changes"]
    assert (again["changes"], again["calls"]) == (0, done["calls"])

    for request in found["asked"]:
        schema = operation(request["method"], request["path"])
        assert (schema is None) == (request.get("body") is None), request
        if schema is not None:
            assert faults(request["body"], schema) == [], request

    at = f"repos/{owner}/acme-shop"
    variables = {
        path.removeprefix(f"{at}/"): entry["value"]
        for path, entry in found["resources"].items()
        if "/variables/" in path
    }
    assert variables == {
        "actions/variables/GITOPS_APP_CLIENT_ID": "Iv23liEXAMPLE",
        **{f"actions/variables/{name}": value for name, value in bootstrap["repository"].items()},
        "environments/plan-dev/variables/AWS_ROLE_ARN": role,
        "environments/plan-dev/variables/TF_STATE_BUCKET": "state",
    }


@pytest.mark.slow
def test_make_shows_what_it_would_change_and_then_changes_it(
    deployable: Deployable, tools: Tools, tmp_path: Path
) -> None:
    repository = tmp_path / "acme-shop"
    shutil.copytree(deployable(), repository, symlinks=True)
    role = "arn:aws:iam::111122223333:role/plan"
    given = {"environments": {"plan-dev": {"AWS_ROLE_ARN": role}}}
    (repository / "infra/github-variables.json").write_text(json.dumps(given), encoding="utf-8")
    setup = Setup(repository, tmp_path, tools, "acme")
    shown = setup.run("GITOPS_APP=acme-gitops")
    assert "Nothing was changed." in shown and setup.load()["calls"] == []
    assert f"environment plan-dev: variable AWS_ROLE_ARN: value: none -> {role}" in shown
    # The lines that it asks for are formatted as Terraform wants them, and then it is content.
    lines = re.findall(r"`(github_\w+_id += \"\d+\")`", shown)
    assert len(lines) == 2, shown
    variables = repository / "infra/bootstrap/terraform.tfvars"
    variables.write_text("\n".join(lines) + "\n", encoding="utf-8")
    run("terraform", "fmt", "-check", variables, cwd=repository, path=tools.folder("terraform"))
    assert "do not trust" not in setup.run("GITOPS_APP=acme-gitops")
    assert "Done." in setup.run("GITOPS_APP=acme-gitops", "APPLY=yes")
    place = "repos/acme/acme-shop/environments/plan-dev/variables/AWS_ROLE_ARN"
    assert setup.load()["resources"][place]["value"] == role


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


@pytest.mark.slow
def test_comments_of_plans_ask_for_what_github_knows(
    default_repo: Path, tools: Tools, tmp_path: Path
) -> None:
    setup = Setup(default_repo, tmp_path, tools, "acme")
    comments = "repos/acme/acme-shop/issues/7/comments"
    setup.save({"name": "acme/acme-shop", "resources": {comments: []}})
    plan = tmp_path / "plans/plan-dev/plan.json"
    plan.parent.mkdir(parents=True)
    for text in ("Plan: 1 to add.", "Plan: 2 to add."):
        plan.write_text(json.dumps({"status": "planned", "changes": True, "text": text}))
        run(
            "node", ".github/scripts/comment-plans.js", plan.parent.parent,
            cwd=default_repo, path=setup.path, environment={
                "GITHUB_STATE": str(setup.state), "GITHUB_REPOSITORY": "acme/acme-shop",
                "ENVIRONMENTS": '["dev"]', "PULL_REQUEST": "7",
            },
        )  # fmt: skip
    state = setup.load()
    calls = [(call["method"], call["path"], call["body"]) for call in state["calls"]]
    assert [method for method, _, _ in calls] == ["POST", "PATCH"]
    for method, path, body in calls:
        schema = operation(method, path)
        assert schema and faults(body, schema) == []
    [comment] = state["resources"][comments]
    assert "2 to add" in comment["body"]
