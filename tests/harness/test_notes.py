"""A release says what owners have to do, and its three places agree on the version."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest
from support import ROOT

from tools.notes import NotesError, notes, sections

CHANGELOG = """# Changelog

## Unreleased

## 1.1.0 - 2026-12-01

### To do

- Mow the lawn.

### Added

- Grass.

## 1.0.0 - 2026-11-01

### Added

- Soil.
"""


def test_notes_are_the_section_of_the_version() -> None:
    text = notes("v1.1.0", CHANGELOG, "1.1.0")
    assert text == "### To do\n\n- Mow the lawn.\n\n### Added\n\n- Grass."


@pytest.mark.parametrize(
    ("tag", "version", "said"),
    [
        ("1.1.0", "1.1.0", "1.1.0 is no vMAJOR.MINOR.PATCH"),
        ("v1.1", "1.1", "v1.1 is no vMAJOR.MINOR.PATCH"),
        ("v1.1.0", "1.0.0", "pyproject.toml has version 1.0.0, not 1.1.0"),
        ("v1.2.0", "1.2.0", "no section 1.2.0"),
        ("v1.0.0", "1.0.0", "what must owners do"),
    ],
)
def test_a_release_that_does_not_agree_is_refused(tag: str, version: str, said: str) -> None:
    with pytest.raises(NotesError, match=re.escape(said)):
        notes(tag, CHANGELOG, version)


def test_the_changelog_the_version_and_the_tags_agree() -> None:
    found = sections((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    released = [name for name in found if name != "Unreleased"]
    for name in released:
        assert "### To do" in found[name], f"CHANGELOG.md, {name}: write what owners have to do"
    if released:
        assert project["version"] == released[0]
    # What is to be done is for owners, in the form that `make update` looks for.
    assert "### To do\n\n- " in found.get("Unreleased", "### To do\n\n- ")
    tags = subprocess.run(
        ("git", "tag", "--list", "v*"), cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    assert [tag for tag in tags if tag[1:] not in released] == []


def test_the_workflow_runs_it_without_the_projects_environment() -> None:
    result = subprocess.run(
        (sys.executable, "-I", "-S", "-c", "import runpy; runpy.run_path('tools/notes.py')"),
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
