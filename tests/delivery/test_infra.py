"""The scripts of infra.yml with the real Terraform, whose state is a file.

What it makes is of its own, `terraform_data`: everything else needs an AWS account. A whole environment is
planned with the provider that serves nothing but a schema.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import Bake, Tools
from infra.terraform import ENVIRONMENTS, provider_version
from infra.terraform import environment as provider_environment
from support import run

pytestmark = pytest.mark.slow

OWN = "111122223333"
VARIABLES = {
    "ROLE_ARN": f"arn:aws:iam::{OWN}:role/acme-shop-dev-plan",
    "TF_STATE_BUCKET": f"acme-shop-state-{OWN}",
    "TF_STATE_KMS_KEY_ARN": f"arn:aws:kms:eu-west-1:{OWN}:key/1",
}
# Says what it was asked, and keeps what only a bucket has from the real one.
TERRAFORM = """\
#!/bin/sh
echo "$*" >> "{log}"
for argument; do
  shift
  case $argument in -backend-config=*) ;; *) set -- "$@" "$argument" ;; esac
done
exec "{program}" "$@"
"""


class Repository:
    """A generated repository whose dev is one resource of Terraform's own. The others are as they are."""

    def __init__(self, path: Path, tools: Tools) -> None:
        self.path = path
        self.folder = path / "infra/envs/dev"
        self.state = self.folder / "terraform.tfstate"
        self.lock = self.folder / ".terraform.lock.hcl"
        self.log = path / "log"
        self.bin = path / "bin"
        self.bin.mkdir()
        (self.bin / "node").symlink_to(tools.path("node"))
        program = self.bin / "terraform"
        program.write_text(TERRAFORM.format(log=self.log, program=tools.path("terraform")))
        program.chmod(0o755)
        for name in ("outputs.tf", "main.tf"):
            (self.folder / name).unlink()
        for environment in ENVIRONMENTS:
            override = path / "infra/envs" / environment / "file_override.tf"
            override.write_text('terraform {\n  backend "local" {}\n}\n')
        self.lock.touch()
        self.write("shop")

    def write(self, role: str) -> None:
        """Say what dev shall be."""
        value = f"arn:aws:iam::{OWN}:role/{role}"
        text = f'resource "terraform_data" "role" {{\n  input = "{value}"\n}}\n'
        (self.folder / "main.tf").write_text(text)

    def script(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        name, *rest = arguments
        given = {**provider_environment(), **VARIABLES, **environment}
        return run(
            "node", f".github/scripts/{name}", *rest, cwd=self.path, path=self.bin, environment=given,
            check=False,
        )  # fmt: skip

    def plan(self, environment: str = "dev") -> dict[str, Any]:
        """Plan an environment, and return what the job hands on."""
        folder = f"plans/plan-{environment}"
        result = self.script("plan-infra.js", environment, folder)
        assert result.returncode == 0, result.stderr
        text = (self.path / folder / "plan.json").read_text(encoding="utf-8")
        assert OWN not in text + result.stdout
        plan: dict[str, Any] = json.loads(text)
        return plan

    def apply(self, digest: str) -> subprocess.CompletedProcess[str]:
        return self.script("apply-infra.js", "dev", digest)


@pytest.fixture(scope="module")
def repository(bake: Bake, tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository whose dev can be made here."""
    path = tmp_path_factory.mktemp("infra") / "acme-shop"
    shutil.copytree(bake(), path)
    return Repository(path, tools)


def test_what_was_approved_is_applied_and_nothing_else(repository: Repository) -> None:
    """One story, so that Terraform starts no more often than it must."""
    first = repository.plan()
    assert (first["status"], first["changes"]) == ("planned", True)
    assert "arn:aws:iam::ACCOUNT:role/shop" in first["text"]
    assert first["text"].endswith("Plan: 1 to add, 0 to change, 0 to destroy.")
    assert not repository.state.exists(), "a plan has written state"
    init = repository.log.read_text(encoding="utf-8").splitlines()[0]
    assert f"-backend-config=bucket={VARIABLES['TF_STATE_BUCKET']}" in init
    assert f"-backend-config=kms_key_id={VARIABLES['TF_STATE_KMS_KEY_ARN']}" in init

    # Who has made dev alone has locked its providers alone; on main all are looked at.
    for other in ("staging", "production"):
        assert repository.plan(other)["status"] == "unlocked"
    every = json.dumps(ENVIRONMENTS)
    collected = repository.script("collect-plans.js", "plans", ENVIRONMENTS=every).stdout
    changes = [{"environment": "dev", "digest": first["digest"]}]
    assert f"changes={json.dumps(changes, separators=(',', ':'))}" in collected

    # Something else would be done now than what was approved.
    repository.write("other")
    refused = repository.apply(first["digest"])
    assert refused.returncode == 1 and "something else than what was approved" in refused.stderr
    assert not repository.state.exists(), "something was applied"

    repository.write("shop")
    applied = repository.apply(first["digest"])
    assert applied.returncode == 0, applied.stderr
    assert "Apply complete! Resources: 1 added" in applied.stdout
    assert f"{OWN}:role/shop" in repository.state.read_text(encoding="utf-8")

    again = repository.plan()
    assert not again["changes"] and "No changes." in again["text"]
    nothing = repository.apply(first["digest"])
    assert nothing.returncode == 0 and "nothing is left to change" in nothing.stdout


def test_a_provider_that_is_not_locked_does_not_run(repository: Repository) -> None:
    versions = repository.folder / "versions.tf"
    aws = f'{{\n      source  = "hashicorp/aws"\n      version = "{provider_version()}"\n    }}'
    versions.write_text(f"terraform {{\n  required_providers {{\n    aws = {aws}\n  }}\n}}\n")
    try:
        result = repository.script("plan-infra.js", "dev", "plans/plan-dev")
        assert result.returncode == 1
        assert "Provider dependency changes detected" in result.stderr, result.stderr
        assert repository.lock.read_text(encoding="utf-8") == ""
    finally:
        versions.unlink()


@pytest.mark.skipif(
    os.environ.get("SLIPWAY_AWS_PROVIDER") == "real", reason="the real provider asks an account"
)
def test_an_environment_is_planned_and_says_the_same_again(repository: Repository) -> None:
    """Its lock file is written as docs/delivery.md tells."""
    folder = repository.path / "infra/envs/production"
    init = ("init", "-backend=false", "-upgrade", "-input=false")
    run(repository.bin / "terraform", *init, cwd=folder, environment=provider_environment())
    first, second = repository.plan("production"), repository.plan("production")
    assert re.search(r"^Plan: [1-9]\d* to add, 0 to change, 0 to destroy\.$", first["text"], re.M)
    assert "module.environment.module.cluster.aws_eks_cluster.this" in first["text"]
    assert first["digest"] == second["digest"]
    # Its number is in many policies.
    assert "arn:aws:iam::ACCOUNT:" in first["text"]
