"""What was not chosen is deleted, and the owner is told what to do next."""

from __future__ import annotations

import re
from pathlib import Path

from conftest import Bake
from support import BIN, ROOT, TEMPLATE, choices, run

HOOK = (ROOT / "hooks" / "post_gen_project.py").read_text(encoding="utf-8")


def test_prints_three_commands_for_the_new_repository(tmp_path: Path) -> None:
    result = run(
        BIN / "cookiecutter", "--no-input", ROOT, "project_slug=blue", cwd=tmp_path,
        environment={"HOME": str(tmp_path)},
    )  # fmt: skip
    commands = re.findall(r"^  (\S.*)$", result.stdout, re.M)
    assert len(commands) == 3, result.stdout
    assert commands[0] == "cd blue" and (tmp_path / "blue").is_dir()
    assert commands[2].endswith("make setup test check")
    run("bash", "-c", " && ".join(commands[:1] + ["make help"]), cwd=tmp_path)


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
