"""What was not chosen is deleted, and the owner is told what to do next."""

from __future__ import annotations

import re
from pathlib import Path

from conftest import Bake
from support import BIN, ROOT, TEMPLATE, choices, run

HOOK = (ROOT / "hooks" / "post_gen_project.py").read_text(encoding="utf-8")


def test_prints_the_commands_for_the_new_repository_from_where_the_user_is(tmp_path: Path) -> None:
    out = tmp_path / "my work"
    result = run(
        BIN / "cookiecutter", "--no-input", f"--output-dir={out}", ROOT, "project_slug=blue",
        cwd=ROOT, environment={"HOME": str(tmp_path), "PWD": str(tmp_path)},
    )  # fmt: skip
    commands = re.findall(r"^  (\S.*)$", result.stdout, re.M)
    assert len(commands) == 5, result.stdout
    assert commands[0] == "cd 'my work/blue'"
    assert [command.split("  ")[0] for command in commands[2:]] == [
        "mise install", "make dev", "make check",
    ]  # fmt: skip
    help_of_new = " && ".join([*commands[:1], "make help"])
    assert "  dev " in run("bash", "-c", help_of_new, cwd=tmp_path).stdout


def test_deletes_each_file_of_its_table_for_some_answer_and_keeps_it_for_another(
    bake: Bake,
) -> None:
    paths = re.findall(r'^    "([^"]+)": "<<', HOOK, re.M)
    assert paths, "the table is empty"
    for path in paths:
        there = TEMPLATE / path.replace("<< ", "<<").replace(" >>", ">>")
        assert there.exists(), f"{path} is not in the template"
        folder = path.replace("<< cookiecutter.service_name >>", "orders")
        kept = {
            f"{prompt}={value}": (bake(**{prompt: value}) / folder).exists()
            for prompt, values in choices().items()
            for value in values
        }
        assert set(kept.values()) == {True, False}, f"{path}: {kept}"
