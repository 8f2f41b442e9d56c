"""Terraform for tests: a copy of infra/, and what Terraform says about it, without AWS.

The AWS provider is the one that serves nothing but a schema (tools/aws_schema.py). With
SLIPWAY_AWS_PROVIDER=real it is the real one, which Terraform then downloads; the tests are the same.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import TEMPLATE, run

from tools import aws_schema, fetch

Json = dict[str, Any]

VERSIONS = "infra/modules/environment/versions.tf"
ENVIRONMENTS = ("dev", "staging", "production")


def provider_version() -> str:
    """Return the version of the AWS provider that the generated repository pins."""
    found = re.search(
        r'source  = "hashicorp/aws"\n +version = "(\d+\.\d+\.\d+)"',
        (TEMPLATE / VERSIONS).read_text(encoding="utf-8"),
    )
    assert found, f"{VERSIONS} pins no exact version of the AWS provider"
    return found[1]


def environment() -> dict[str, str]:
    """Return the variables with which Terraform finds the AWS provider, and no credential."""
    real = os.environ.get("SLIPWAY_AWS_PROVIDER") == "real"
    configuration = os.devnull if real else aws_schema.cli_configuration(provider_version())
    cache = fetch.CACHE / "terraform-plugins"
    return {
        "TF_CLI_CONFIG_FILE": str(configuration),
        "TF_PLUGIN_CACHE_DIR": str(cache) if real else "",
        "CHECKPOINT_DISABLE": "1",
    }


def copy_of(repository: Path, folder: Path) -> Path:
    """Copy what Terraform reads of a repository: infra/ and the names of the services."""
    copy = folder / repository.name
    shutil.copytree(repository / "infra", copy / "infra")
    for manifest in repository.glob("services/*/package.json"):
        target = copy / manifest.relative_to(repository)
        target.parent.mkdir(parents=True)
        shutil.copyfile(manifest, target)
    return copy


@dataclass(frozen=True)
class Run:
    """One run of a test: whether it passed, and the errors with what belongs to them."""

    status: str
    errors: str


@dataclass(frozen=True)
class Terraform:
    """The pinned Terraform."""

    program: Path

    def __call__(self, folder: Path, *arguments: str, check: bool = True) -> str:
        """Run Terraform in a folder and return what it prints."""
        if not (folder / ".terraform").exists() and arguments[0] != "init":
            self(folder, "init", "-backend=false", "-input=false")
        result = run(
            self.program,
            *arguments,
            "-no-color",
            cwd=folder,
            check=check,
            environment=environment(),
        )
        return result.stdout + result.stderr

    def _events(self, folder: Path, *arguments: str) -> list[Json]:
        lines = self(folder, "test", "-json", *arguments, check=False).splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def test(self, folder: Path) -> dict[str, Run]:
        """Run the tests of a folder; return each run by its name."""
        statuses: dict[str, str] = {}
        errors: dict[str, str] = {}
        for event in self._events(folder):
            name = event.get("@testrun", "")
            if event["type"] == "diagnostic" and event["diagnostic"]["severity"] == "error":
                found = event["diagnostic"]
                errors[name] = f"{errors.get(name, '')}{found['summary']}: {found['detail']}\n"
            elif event["type"] == "test_run" and event["test_run"].get("progress") == "complete":
                statuses[name] = event["test_run"]["status"]
        assert statuses and "" not in errors, f"{folder}: {errors.get('')}"
        return {name: Run(status, errors.get(name, "")) for name, status in statuses.items()}

    def plan(self, folder: Path) -> list[Json]:
        """Return what the tests of a folder plan: resources with `address` and `values`."""
        plans = [
            event["test_plan"]
            for event in self._events(folder, "-verbose")
            if event["type"] == "test_plan"
        ]
        assert plans, f"{folder} has no test that plans"
        return [
            {
                "address": change["address"].removeprefix("module.environment."),
                "type": change["type"],
                "values": change["change"]["after"],
            }
            for change in plans[0]["resource_changes"]
            if change["mode"] == "managed"
        ]
