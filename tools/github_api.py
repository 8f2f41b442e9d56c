"""What GitHub says of its own REST API, for the requests of workflows and of `make github-setup`.

GitHub cannot be asked in tests, so each request that the script sends is compared with the
description that GitHub publishes. `tests/delivery/github-api.json` holds the part of it that is
needed. To use another endpoint, add its path below and run

    python -m tools.github_api

which reads the description from the npm package of Octokit (30 MB).
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

PACKAGE = "@octokit/openapi@23.0.2"
FILE = "package/generated/api.github.com.json"
OUT = Path(__file__).resolve().parent.parent / "tests/delivery/github-api.json"

REPOSITORY = "/repos/{owner}/{repo}"
ENVIRONMENT = f"{REPOSITORY}/environments/{{environment_name}}"
PATHS = (
    REPOSITORY,
    f"{REPOSITORY}/actions/oidc/customization/sub",
    f"{REPOSITORY}/actions/permissions",
    f"{REPOSITORY}/actions/permissions/selected-actions",
    f"{REPOSITORY}/actions/permissions/workflow",
    f"{REPOSITORY}/actions/secrets",
    f"{REPOSITORY}/actions/variables",
    f"{REPOSITORY}/actions/variables/{{name}}",
    f"{REPOSITORY}/automated-security-fixes",
    f"{REPOSITORY}/issues/comments/{{comment_id}}",
    f"{REPOSITORY}/issues/{{issue_number}}/comments",
    f"{REPOSITORY}/private-vulnerability-reporting",
    f"{REPOSITORY}/rulesets",
    f"{REPOSITORY}/rulesets/{{ruleset_id}}",
    f"{REPOSITORY}/vulnerability-alerts",
    ENVIRONMENT,
    f"{ENVIRONMENT}/deployment-branch-policies",
    f"{ENVIRONMENT}/deployment-branch-policies/{{branch_policy_id}}",
    f"{ENVIRONMENT}/secrets",
    f"{ENVIRONMENT}/variables",
    f"{ENVIRONMENT}/variables/{{name}}",
    "/apps/{app_slug}",
    "/orgs/{org}/teams/{team_slug}",
    "/users/{username}",
)
METHODS = ("get", "put", "post", "patch", "delete")
# What a request is compared by; the texts for people are left out.
KEYWORDS = ("type", "nullable", "enum", "required", "minimum", "maximum")


def schema(node: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without references, and without what is for people."""
    if "$ref" in node:
        target: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return schema(target, document)
    short: dict[str, Any] = {key: node[key] for key in KEYWORDS if key in node}
    if "properties" in node:
        short["properties"] = {
            name: schema(value, document) for name, value in node["properties"].items()
        }
    if "items" in node:
        short["items"] = schema(node["items"], document)
    for key in ("oneOf", "anyOf"):
        if key in node:
            short[key] = [schema(value, document) for value in node[key]]
    return short


def body(operation: dict[str, Any], document: dict[str, Any]) -> dict[str, Any] | None:
    """Return the schema of an operation's request body."""
    if "requestBody" not in operation:
        return None
    return schema(operation["requestBody"]["content"]["application/json"]["schema"], document)


def main() -> None:
    """Write the part of the description that tests need."""
    with tempfile.TemporaryDirectory() as folder:
        command = ("npm", "pack", "--silent", "--pack-destination", folder, PACKAGE)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (archive,) = Path(folder).iterdir()
        with tarfile.open(fileobj=io.BytesIO(archive.read_bytes())) as package:
            file = package.extractfile(FILE)
            assert file, f"{PACKAGE} holds no {FILE}"
            document = json.load(file)
    paths = {
        path: {
            method.upper(): body(document["paths"][path][method], document)
            for method in METHODS
            if method in document["paths"][path]
        }
        for path in PATHS
    }
    lines = [f"{json.dumps(path)}: {json.dumps(methods)}" for path, methods in paths.items()]
    OUT.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
