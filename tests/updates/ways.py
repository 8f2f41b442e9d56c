"""What can happen to a file between an owner and a template, one way each, in a template of a few files."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

LINES = [f"line {number}" for number in range(1, 41)]
# The line that an update before changes, so that owners no longer have the file that the template made.
EARLIER = 5
OWNERS = 20
WORKFLOW = """\
jobs:
  build:
    steps:
      - name: Check out
        uses: actions/checkout@{commit} # v{version}
      - name: Say so
        run: echo
"""
PROJECT = "{{cookiecutter.project_slug}}"
SERVICE = "services/{{cookiecutter.service_name}}"


def pinned(version: str) -> str:
    return WORKFLOW.format(commit=version[0] * 40, version=version)


def lock(**packages: str) -> str:
    return json.dumps({"lockfileVersion": 3, "packages": packages}, indent=2) + "\n"


def package(**dependencies: str) -> str:
    return json.dumps({"name": "x", "dependencies": dependencies}, indent=2) + "\n"


def text(name: str, changes: dict[int, str] | None = None) -> str:
    """Return a file of numbered lines, some of them changed; no other file is like it."""
    lines = [f"{line} of {name}" for line in LINES]
    for number, line in (changes or {}).items():
        lines[number - 1] = line
    return "\n".join(lines) + "\n"


class Way(NamedTuple):
    """One thing that happens.

    Args:
        name: what happens, in words, as the documents have it.
        file: the file of the project that it is about.
        first: what the template makes at first; None if there is no file.
        later: what it makes in the end: another text, or None.
        owner: what the owner does with the project.
        result: what there should be in the end; None if there is nothing to say, as a person has to decide.
        moved: the file's path in the end, if the template gives it another one.
    """

    name: str
    file: str
    first: str | None
    later: str | None
    owner: Callable[[Path], object]
    result: str | None
    moved: str | None = None
    settled: bool = True
    there: bool = True


def writes(path: str, content: str) -> Callable[[Path], object]:
    def change(project: Path) -> None:
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(content, encoding="utf-8")

    return change


def removes(path: str) -> Callable[[Path], object]:
    def change(project: Path) -> None:
        if (project / path).is_dir():
            shutil.rmtree(project / path)
        else:
            (project / path).unlink()

    return change


def edits(path: str, line: str = "ours") -> Callable[[Path], object]:
    """Return a change of the owner's line of a file."""

    def change(project: Path) -> None:
        file = project / path
        old = f"{LINES[OWNERS - 1]} of {file.name}\n"
        content = file.read_text(encoding="utf-8")
        assert old in content
        file.write_text(content.replace(old, line + "\n"), encoding="utf-8")

    return change


def added_service(project: Path) -> None:
    shutil.copytree(project / "services/orders", project / "services/payments")


WAYS = [
    Way(
        "you and the template change lines that are far apart",
        "far.txt", text("far.txt"), text("far.txt", {35: "theirs"}), edits("far.txt"),
        text("far.txt", {OWNERS: "ours", 35: "theirs"}),
    ),
    Way(
        "you and the template change lines that are three apart",
        "near.txt", text("near.txt"), text("near.txt", {OWNERS + 3: "theirs"}), edits("near.txt"),
        text("near.txt", {OWNERS: "ours", OWNERS + 3: "theirs"}),
    ),
    Way(
        "you and the template change the same line, in different ways",
        "same.txt", text("same.txt"), text("same.txt", {OWNERS: "theirs"}), edits("same.txt"), None, settled=False,
    ),
    Way(
        "you change a file, the template renames and changes it",
        "old-name.txt", text("old-name.txt"), text("old-name.txt", {35: "theirs"}), edits("old-name.txt"),
        text("old-name.txt", {OWNERS: "ours", 35: "theirs"}), moved="new-name.txt",
    ),
    Way(
        "you change a file, the template deletes it",
        "dropped.txt", text("dropped.txt"), None, edits("dropped.txt"), None, settled=False,
    ),
    Way(
        "you delete a file, the template changes it",
        "deleted.txt", text("deleted.txt"), text("deleted.txt", {35: "theirs"}), removes("deleted.txt"), None, there=False,
    ),
    Way(
        "you delete a folder, the template adds a file to it",
        "folder/new.txt", None, "theirs\n", removes("folder"), None, there=False,
    ),
    Way(
        "you and the template add a file of the same name",
        "added.txt", None, "theirs\n", writes("added.txt", "ours\n"), None, settled=False,
    ),
    Way(
        "Dependabot moves an action, the template moves it further",
        ".github/workflows/further.yml", pinned("1.0.0"), pinned("3.0.0"),
        writes(".github/workflows/further.yml", pinned("2.0.0")), pinned("3.0.0"),
    ),
    Way(
        "Dependabot moves an action further than the template",
        ".github/workflows/less.yml",
        pinned("1.0.0").replace("checkout", "cache"),
        pinned("2.0.0").replace("checkout", "cache"),
        writes(".github/workflows/less.yml", pinned("3.0.0").replace("checkout", "cache")),
        pinned("3.0.0").replace("checkout", "cache"),
    ),
    Way(
        "Dependabot moves a package, the template moves it further",
        f"{SERVICE}/package.json", package(a="1.0.0", b="1.0.0"), package(a="3.0.0", b="1.1.0"),
        writes("services/orders/package.json", package(a="2.0.0", b="1.0.0")),
        package(a="3.0.0", b="1.1.0"),
    ),
    Way(
        "you add a service, the template changes what a service is",
        f"{SERVICE}/server.txt", text("server.txt"), text("server.txt", {35: "theirs"}), added_service,
        text("server.txt", {35: "theirs"}), moved="services/payments/server.txt",
    ),
    Way(
        "you and the template change a file that is yours by the list",
        "LICENSE", "All rights.\n", "Some rights.\n", writes("LICENSE", "Ours.\n"), "Ours.\n",
    ),
]  # fmt: skip


def with_earlier(content: str) -> str:
    """Return a file with the line that the first of two updates changes."""
    return re.sub(rf"^{LINES[EARLIER - 1]} of .+$", "earlier", content, flags=re.M)


def template(folder: Path, ways: list[Way], *, step: int) -> None:
    """Write the template: as it begins (0), with other lines changed (1), and with what happens (2)."""
    shutil.rmtree(folder / PROJECT, ignore_errors=True)
    answers = {"project_slug": "shop", "service_name": "orders"}
    (folder / "cookiecutter.json").write_text(json.dumps(answers), encoding="utf-8")
    fixed = {
        ".github/yours.txt": "LICENSE  yours\n",
        "folder/old.txt": "old\n",
        f"{SERVICE}/kind.txt": "a service\n",
    }
    files: dict[str, str] = fixed
    for way in ways:
        content = way.later if step == 2 else way.first
        if content is None:
            continue
        if step:
            content = with_earlier(content)
        moves = way.moved and step == 2 and not way.moved.startswith("services/")
        files[way.moved if moves and way.moved else way.file] = content
    for path, content in files.items():
        place = folder / PROJECT / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content, encoding="utf-8")


def expected(way: Way) -> str | None:
    """Return what there should be in the end."""
    return None if way.result is None else with_earlier(way.result)


def place_of(way: Way) -> str:
    """Return the path of a file in the project, in the end."""
    return (way.moved or way.file).replace("{{cookiecutter.service_name}}", "orders")
