"""Every combination of choices gives exactly the files that it should, and each is clean."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from conftest import Bake
from support import (
    BIN,
    LONGEST,
    ROOT,
    Answers,
    choices,
    every_combination,
    files_of,
    name_of,
    prompts,
    run,
)

LISTED = Path(__file__).with_name("files.txt")
# Answers other than the default, to see that each one changes the output.
OTHER = {
    "project_name": "Blue Line",
    "project_slug": "blue-line",
    "description": "Sells tickets",
    "github_owner": "blue",
    "service_name": "tickets",
    "aws_region": "us-east-1",
    "slack_channel": "#blue",
    "alert_email": "blue@example.com",
    "slo_availability": "99.5",
    "slo_latency_ms": "250",
}
EACH_COMBINATION = pytest.mark.parametrize(
    "answers",
    [
        # On one worker, so that each is generated once.
        pytest.param(answers, id=name_of(answers), marks=pytest.mark.xdist_group(name_of(answers)))
        for answers in every_combination()
    ],
)


def expected(answers: Answers) -> set[str]:
    """Return the files that files.txt lists for these answers.

    A line is a path, and after it, each in brackets, the answers that bring the file.
    """
    paths = set()
    for line in LISTED.read_text(encoding="utf-8").splitlines():
        match = re.fullmatch(r"(\S+)((?: +\[\w+: [^]]+\])*)", line)
        if not match:
            continue
        path, conditions = match.groups()
        if all(
            answers[prompt] in values.split(", ")
            for prompt, values in re.findall(r"\[(\w+): ([^]]+)\]", conditions)
        ):
            paths.add(path.replace("SERVICE", answers.get("service_name", "orders")))
    return paths


@EACH_COMBINATION
def test_generates_exactly_the_listed_files(bake: Bake, answers: Answers) -> None:
    repository = bake(**answers)
    found = {str(path.relative_to(repository)) for path in files_of(repository)}
    wanted = expected(answers)
    assert found == wanted, f"not listed: {found - wanted}; missing: {wanted - found}"


@EACH_COMBINATION
def test_files_are_clean(bake: Bake, answers: Answers) -> None:
    repository = bake(**answers)
    for path in files_of(repository):
        name = path.relative_to(repository)
        assert re.fullmatch(r"[A-Za-z0-9._/-]+", str(name)), f"{name}: not portable to all systems"
        text = path.read_text(encoding="utf-8")
        assert text.endswith("\n") and not text.endswith("\n\n"), f"{name}: one newline at the end"
        for number, line in enumerate(text.splitlines(), 1):
            place = f"{name}:{number}: {line!r}"
            assert line == line.rstrip(), f"space at the end, {place}"
            # The word itself is fine, where files speak of the program or its answers.
            variable = r"(?<![.\w])cookiecutter\.(?!js(?:on)?\b)\w"
            leftover = re.search(rf"{variable}|<<|<%|%>|<#|^\s*#%", line)
            assert not leftover or "package-lock" in path.name, f"left-over template, {place}"
        assert not re.search(r"\n\n\n", text), f"{name}: two empty lines in a row"
        if path.suffix == ".md":
            prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
            cramped = re.search(r"^.+\n#+ .+$|^\|.+\n[^|\n].*$", prose, re.M)
            assert not cramped, f"{name}: no empty line before {cramped and cramped[0]!r}"


@EACH_COMBINATION
def test_yaml_passes_yamllint(bake: Bake, answers: Answers) -> None:
    run(
        BIN / "yamllint",
        "--strict",
        "--config-file",
        ROOT / ".yamllint.yaml",
        ".",
        cwd=bake(**answers),
    )


@pytest.mark.parametrize("prompt", list(prompts()))
def test_each_prompt_has_an_effect(bake: Bake, default_repo: Path, prompt: str) -> None:
    alternatives = choices()[prompt][1:] if prompt in choices() else [OTHER[prompt]]
    for value in alternatives:
        # The address is asked of everybody and used in SECURITY.md; the channel only with Slack.
        repository = bake(**{prompt: value})
        same = all(
            path.read_bytes() == (repository / path.relative_to(default_repo)).read_bytes()
            for path in files_of(default_repo)
            if (repository / path.relative_to(default_repo)).exists()
        )
        renamed = prompt == "service_name"
        assert renamed or not same, f"{prompt} = {value!r} changes nothing in the output"


def test_the_same_answers_give_the_same_bytes(bake: Bake, default_repo: Path) -> None:
    again = bake(project_name=str(prompts()["project_name"]))
    assert again != default_repo, "compared with itself"
    for path in files_of(default_repo):
        assert (again / path.relative_to(default_repo)).read_bytes() == path.read_bytes(), path


def test_executables_keep_their_mode(default_repo: Path) -> None:
    for path in files_of(default_repo):
        script = path.read_text(encoding="utf-8").startswith("#!")
        assert bool(path.stat().st_mode & 0o111) == script, f"{path}: executable if a script"


def test_names_stay_within_63_characters_for_the_longest_answers(bake: Bake) -> None:
    names = []
    for path in files_of(bake(**LONGEST)):
        if path.suffix == ".yaml":
            for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
                meta = document.get("metadata", {}) if isinstance(document, dict) else {}
                names += [(path.name, meta["name"])] if "name" in meta else []
    assert names, "no Kubernetes object was found"
    assert [entry for entry in names if len(entry[1]) > 63] == []
