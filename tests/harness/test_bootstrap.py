"""The first command on a new machine tells what is missing in one sentence."""

from __future__ import annotations

import os
from pathlib import Path

from support import ROOT, run


def make_example(tmp_path: Path, path: Path, *arguments: str) -> str:
    """Run `make example` in a checkout that has nothing yet; it must fail. Return the last words."""
    checkout = tmp_path / "checkout"
    (checkout / "tools").mkdir(parents=True)
    for name in ("Makefile", "uv.lock", "pyproject.toml", "tools/bootstrap.py"):
        (checkout / name).symlink_to(ROOT / name)
    result = run("make", "example", *arguments, cwd=checkout, path=path, check=False)
    assert result.returncode != 0
    return result.stderr


def python_that_says(folder: Path, program: str) -> Path:
    """Make a python3 that runs a line of Python before what it is given."""
    folder.mkdir()
    python = folder / "python3"
    code = f"import runpy, sys; sys.argv = sys.argv[1:]; {program}; runpy.run_path(sys.argv[0])"
    python.write_text(
        f'#!/bin/sh\nexec /usr/bin/env -S PATH="{os.environ["PATH"]}" python3 -c \'{code}\' "$@"\n'
    )
    python.chmod(0o755)
    return folder


def test_an_old_python_is_told_with_what_is_needed(tmp_path: Path) -> None:
    old = python_that_says(
        tmp_path / "old", 'sys.modules["tomllib"] = None; sys.version_info = (3, 9, 18)'
    )
    said = make_example(tmp_path, old)
    assert said.startswith("python3 is 3.9, and 3.11 or newer is needed"), said
    assert "Traceback" not in said


def test_a_folder_that_cannot_be_made_is_told_before_anything_else(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run("make", "out", f"OUT={tmp_path}/file/x", cwd=ROOT, check=False)
    assert f"OUT={tmp_path}/file/x: no folder can be written there" in result.stderr
