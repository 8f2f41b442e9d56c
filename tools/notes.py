"""Print what the changelog says of a version: `python3 -m tools.notes v1.2.0`.

Needs nothing but Python: the workflow that publishes a release runs it as it is.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSION = re.compile(r"\d+\.\d+\.\d+")


class NotesError(Exception):
    """What is wrong with a release, in words for people."""


def sections(changelog: str) -> dict[str, str]:
    """Return the text of each version, the newest first; what is not released is one of them."""
    found = {}
    for part in re.split(r"^## ", changelog, flags=re.M)[1:]:
        title, _, text = part.partition("\n")
        found[title.split()[0]] = text.strip()
    return found


def notes(tag: str, changelog: str, version: str) -> str:
    """Return the notes of a release.

    Args:
        tag: the tag of the release, vMAJOR.MINOR.PATCH.
        changelog: the text of CHANGELOG.md.
        version: the version that pyproject.toml has.

    Raises:
        NotesError: the three do not agree, or owners are not told what to do.
    """
    name = tag.removeprefix("v")
    if not VERSION.fullmatch(name) or name == tag:
        raise NotesError(f"{tag} is no vMAJOR.MINOR.PATCH")
    if version != name:
        raise NotesError(f"pyproject.toml has version {version}, not {name}")
    found = sections(changelog)
    if name not in found:
        raise NotesError(f"CHANGELOG.md has no section {name}")
    if not re.search(r"^### To do\n\n\S", found[name], re.M):
        raise NotesError(f"CHANGELOG.md, {name}: what must owners do? Write it under ### To do")
    return found[name]


def main(arguments: list[str]) -> int:
    """Print the notes; return the exit code."""
    if len(arguments) != 1:
        print("usage: python3 -m tools.notes TAG", file=sys.stderr)
        return 2
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    try:
        print(notes(arguments[0], changelog, project["version"]))
    except NotesError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
