"""What several tests share: answers, running commands, and the rule for checks that can't run."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tools import schemas
from tools.cluster import free_ports

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "<<cookiecutter.project_slug>>"
# The programs of the Python dependencies.
BIN = Path(sys.executable).parent
Answers = Mapping[str, str]

# The most characters that the prompts admit, so that derived names are as long as they get.
LONGEST: Answers = {
    "project_slug": "a" * 25 + "z",
    "service_name": "s" * 23 + "z",
    "aws_region": "ap-southeast-2",
}


def prompts() -> dict[str, Any]:
    """Return the questions of cookiecutter.json with their defaults or choices."""
    data = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    return {name: value for name, value in data.items() if not name.startswith("_")}


def load_hook() -> ModuleType:
    """Return the pre_gen hook as a module, to test its rules one by one."""
    path = ROOT / "hooks" / "pre_gen_project.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def choices() -> dict[str, list[str]]:
    """Return the questions with a fixed set of answers, and these answers."""
    return {name: value for name, value in prompts().items() if isinstance(value, list)}


def every_combination() -> Iterator[dict[str, str]]:
    """Yield the combinations of all choices.

    It is the full product of those that share files. The license stands alone, so its values take
    turns: each meets every other answer.
    """
    names = choices()
    licenses = names.pop("license")
    for number, values in enumerate(itertools.product(*names.values())):
        # Shifted after each round, as the last of the choices has as many values.
        turn = (number + number // len(licenses)) % len(licenses)
        yield {**dict(zip(names, values, strict=True)), "license": licenses[turn]}


def name_of(answers: Answers) -> str:
    """Return a readable test id for a set of answers."""
    return "-".join(answers.values()) or "default"


def require(ok: bool, missing: str, remedy: str) -> None:
    """Skip the test when something that it needs is not there; with SLIPWAY_REQUIRE_ALL, fail.

    CI sets SLIPWAY_REQUIRE_ALL, so that no check disappears unnoticed.
    """
    if ok:
        return
    message = f"not checked: {missing}. {remedy}"
    if os.environ.get("SLIPWAY_REQUIRE_ALL"):
        pytest.fail(message)
    pytest.skip(message)


def run(
    *command: str | Path,
    cwd: Path,
    path: Path | None = None,
    check: bool = True,
    timeout: float = 300,
    environment: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command and return its exit code and output.

    Args:
        command: the program and its arguments.
        cwd: the folder to run in.
        path: a folder to put first on PATH.
        check: fail the test, with the output, when the exit code is not zero.
        timeout: seconds after which the command is ended.
        environment: variables to add.
        stdin: text for the standard input.
    """
    variables = {**os.environ, **(environment or {})}
    if path is not None:
        variables["PATH"] = f"{path}{os.pathsep}{variables['PATH']}"
    result = subprocess.run(
        command,
        cwd=cwd,
        env=variables,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if check and result.returncode != 0:
        shown = " ".join(str(part) for part in command)
        pytest.fail(
            f"{shown} exited with {result.returncode}\n{result.stdout[-6000:]}{result.stderr[-6000:]}"
        )
    return result


def with_facts(repository: Path, folder: Path, facts: Mapping[str, str]) -> Path:
    """Return a copy of a repository, in a folder, whose environments have these facts."""
    copy = folder / repository.name
    shutil.copytree(repository, copy, symlinks=True)
    for file in sorted((copy / "deploy/environments").glob("*/facts.yaml")):
        text = file.read_text(encoding="utf-8")
        for name, value in facts.items():
            text, count = re.subn(rf"^  {name}: .*$", f"  {name}: {value}", text, flags=re.M)
            assert count == 1, f"{file}: {name}"
        file.write_text(text, encoding="utf-8")
    return copy


def schema_environment() -> dict[str, str]:
    """Return the variables with which the generated Makefile finds the schemas of the tests."""
    folder = schemas.folder()
    core = f"{folder}/core/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"
    return {"KUBERNETES_SCHEMAS": core, "CRD_SCHEMAS": str(folder)}


def shell_blocks(repository: Path, document: str, heading: str) -> list[str]:
    """Return the shell blocks below a heading of a generated document."""
    text = (repository / "docs" / document).read_text(encoding="utf-8")
    section = re.split(r"^#+ ", text.split(f"# {heading}\n")[1], maxsplit=1, flags=re.M)[0]
    found = re.findall(r"```sh\n(.+?)```", section, re.S)
    assert found, f"{document} has no command below {heading}"
    return found


def files_of(folder: Path) -> list[Path]:
    """Return the files below a folder, without what tools put there, sorted."""
    left_out = {".git", "node_modules", "coverage"}
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not left_out & set(path.relative_to(folder).parts)
    )


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on now."""
    return free_ports(1)[0]
