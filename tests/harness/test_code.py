"""Slipway's own code and workflows pass their linters."""

from __future__ import annotations

import re
import subprocess

import pytest
from conftest import Tools
from support import BIN, ROOT, run

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize(
    "command",
    [("ruff", "format", "--check"), ("ruff", "check"), ("mypy",)],
    ids=" ".join,
)
def test_python_passes(command: tuple[str, ...]) -> None:
    run(BIN / command[0], *command[1:], cwd=ROOT)


def test_workflows_pass_zizmor() -> None:
    assert WORKFLOWS
    run(BIN / "zizmor", "--offline", "--pedantic", *WORKFLOWS, cwd=ROOT)


@pytest.mark.slow
def test_workflows_pass_actionlint(tools: Tools) -> None:
    assert WORKFLOWS
    run(tools.path("actionlint"), *WORKFLOWS, cwd=ROOT, path=tools.folder("shellcheck"))


@pytest.mark.slow
def test_scripts_pass_shellcheck(tools: Tools) -> None:
    run(tools.path("shellcheck"), ".ci/run", cwd=ROOT)


def test_every_action_is_a_commit_with_its_version() -> None:
    for workflow in WORKFLOWS:
        for uses in re.findall(r"uses: (.+)", workflow.read_text(encoding="utf-8")):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", uses), uses


def test_tracked_files_name_no_path_of_one_machine() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        path = ROOT / name
        if path.is_symlink() or name == "tests/harness/test_code.py":
            continue
        text = path.read_text(encoding="utf-8")
        found = re.search(r"(?<![\w.-])/(work|workspace|Users)/", text)
        assert not found, f"{name} names a path of one machine: {found[0]}"
