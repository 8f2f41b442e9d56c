"""The repositories below examples/ are what the template gives for the answers beside them."""

from __future__ import annotations

import difflib
import itertools
from pathlib import Path

import pytest
from conftest import Bake
from support import ROOT, choices, files_of, prompts, run

from tools import examples

ANSWERS = examples.answers()
# Enough to see what it is about.
SHOWN = 100


def differences(old: Path, new: Path) -> list[str]:
    """Return the differences of two folders as the lines of a patch."""
    lines: list[str] = []
    for name in sorted(
        {path.relative_to(folder) for folder in (old, new) for path in files_of(folder)}
    ):
        before, after = old / name, new / name
        if before.exists() and after.exists():
            modes = [path.stat().st_mode & 0o111 for path in (before, after)]
            lines += [f"{name}: another mode"] if modes[0] != modes[1] else []
        else:
            lines.append(f"{name}: {'new' if after.exists() else 'gone'}")
        texts = [
            path.read_text("utf-8").splitlines() if path.exists() else []
            for path in (before, after)
        ]
        lines += difflib.unified_diff(texts[0], texts[1], f"a/{name}", f"b/{name}", lineterm="")
    return lines


@pytest.mark.parametrize("name", list(ANSWERS))
def test_an_example_is_what_the_template_gives(bake: Bake, name: str) -> None:
    lines = differences(ROOT / "examples" / name, bake(**ANSWERS[name]))
    assert not lines, "\n".join(
        [*lines[:SHOWN], f"examples/{name} differs in {len(lines)} lines: run `make examples`"]
    )


@pytest.mark.parametrize("name", list(ANSWERS))
def test_git_keeps_all_of_an_example(name: str) -> None:
    ignored = run(
        "git", "ls-files", "--others", "--ignored", "--exclude-standard", f"examples/{name}",
        cwd=ROOT,
    ).stdout  # fmt: skip
    assert ignored == "", f"a .gitignore leaves these out:\n{ignored}"


def test_each_choice_of_two_is_shown_both_ways() -> None:
    asked = choices()
    for name, values in asked.items():
        shown = {given.get(name, values[0]) for given in ANSWERS.values()}
        assert len(shown) > 1, f"all examples answer {name} with {shown}"
    unknown = set(itertools.chain(*ANSWERS.values())) - set(prompts())
    assert not unknown, f"examples answer what is not asked: {unknown}"
