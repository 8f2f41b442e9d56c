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


def head_of(tests: Path) -> str:
    """Return what stands before the runs of a file of tests."""
    return tests.read_text(encoding="utf-8").split("\nrun ")[0] + "\n"


def one_run_a_file(folder: Path) -> None:
    """Put each run of a folder's tests into a file, as Terraform skips what comes after a failure."""
    (tests,) = folder.glob("tests/*.tftest.hcl")
    head = head_of(tests)
    for number, text in enumerate(tests.read_text(encoding="utf-8").split("\nrun ")[1:]):
        tests.with_name(f"{number}.tftest.hcl").write_text(f"{head}\nrun {text}", encoding="utf-8")
    tests.unlink()


class Plan:
    """What Terraform would make: the values of each resource."""

    def __init__(self, resources: list[Json]) -> None:
        self.resources = resources

    def all(self, kind: str, address: str = "") -> list[Json]:
        """Return the values of the resources of a type whose address holds a text."""
        return [
            entry["values"]
            for entry in self.resources
            if entry["type"] == f"aws_{kind}" and address in entry["address"]
        ]

    def one(self, kind: str, address: str = "") -> Json:
        """Return the values of the only such resource."""
        found = self.all(kind, address)
        assert len(found) == 1, f"{len(found)} x aws_{kind} {address}"
        return found[0]

    @property
    def managed(self) -> bool:
        """Whether nodes are ours, not those of Auto Mode."""
        return bool(self.all("eks_node_group"))


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

    def plan(self, folder: Path, variables: str = "") -> Plan:
        """Return what a folder plans with the values that its tests begin with, and these."""
        (tests,) = folder.glob("tests/*.tftest.hcl")
        alone = folder / "tests/alone.tftest.hcl"
        case = f'run "alone" {{\n  command = plan\n  variables {{\n{variables}\n  }}\n}}\n'
        alone.write_text(head_of(tests) + case, encoding="utf-8")
        events = self._events(folder, "-verbose", f"-filter=tests/{alone.name}")
        alone.unlink()
        plans = [event["test_plan"] for event in events if event["type"] == "test_plan"]
        assert plans, f"{folder}: {[e for e in events if e['type'] == 'diagnostic']}"
        return Plan(
            [
                {
                    "address": change["address"].removeprefix("module.environment."),
                    "type": change["type"],
                    "values": change["change"]["after"],
                }
                for change in plans[0]["resource_changes"]
                if change["mode"] == "managed"
            ]
        )

    def saved_plan(self, folder: Path, *arguments: str) -> Path:
        """Plan a folder as for an apply, and return the file with the plan as JSON."""
        override = 'terraform {\n  backend "local" {}\n}\n'
        (folder / "override.tf").write_text(override, encoding="utf-8")
        self(folder, "init", "-input=false")
        self(folder, "plan", "-input=false", "-out=saved.tfplan", *arguments)
        plan = folder / f"{folder.name}.tfplan.json"
        plan.write_text(self(folder, "show", "-json", "saved.tfplan"), encoding="utf-8")
        return plan
