"""Free text comes out as it was typed, in every kind of file."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import hcl2
import pytest
import yaml
from cookiecutter.main import cookiecutter
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from support import ROOT, files_of, load_hook

HOOK = load_hook()
NASTY = """'"\\ a: b # c $(d) ${{ e }} {{ f }} ${g} %{h} << i >> <% j %> <# k #> *_`[l](m)` <n> &amp; |~! 🚢 שלום"""


def one_line() -> st.SearchStrategy[str]:
    """Texts that the prompts accept, rich in characters that some format treats specially."""
    special = st.sampled_from([*"'\"\\:#$`*_{}[]()<>|~!&%@-+=.;,?", "<<", ">>", "${{", "%>", "#%"])
    anything = st.characters(exclude_categories=("Cs", "Cc"))
    return st.lists(special | anything, min_size=1, max_size=60).map("".join).filter(HOOK.is_text)


def strings_in(value: object) -> Iterator[str]:
    """Yield every string inside parsed JSON, YAML, TOML or HCL."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from strings_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings_in(inner)
    elif isinstance(value, str):
        yield value


def rendered_markdown(text: str) -> str:
    """Return the text that a reader of a Markdown document sees."""
    inline = [
        token.children or [] for token in MarkdownIt("commonmark").enable("table").parse(text)
    ]
    return "\n".join("".join(child.content for child in children) for children in inline)


def labels_of(dockerfile: str) -> list[str]:
    """Return the values of a Dockerfile's labels, without those that hold variables.

    A value is a row of double-quoted parts and of escaped backslashes between them. Inside quotes a
    backslash keeps " and $ literal, and any other $ begins a variable (BuildKit,
    frontend/dockerfile/shell/lex.go). tests/services/ builds such a label for real.
    """
    label = r'org\.opencontainers\.image\.\w+=((?:"(?:[^"\\]|\\["$])*"|\\\\)+)( \\)?$'
    values = []
    for value, _ in re.findall(label, dockerfile, re.M):
        if re.search(r"(?<!\\)\$", value):
            continue
        parts = re.finditer(r'"((?:[^"\\]|\\.)*)"|\\\\', value)
        values.append(
            "".join("\\" if p[1] is None else re.sub(r"\\(.)", r"\1", p[1]) for p in parts)
        )
    assert len(values) >= 4, f"labels that cannot be read: {values}"
    return values


def parse(path: Path) -> list[str]:
    """Parse a file as what it is and return the strings in it; fail when it is not valid."""
    text = path.read_text(encoding="utf-8")
    match path.suffix, path.name:
        case ((".yaml" | ".yml"), _):
            return list(strings_in(list(yaml.safe_load_all(text))))
        case ".json", _:
            return list(strings_in(json.loads(text)))
        case ".toml", _:
            return list(strings_in(tomllib.loads(text)))
        case ((".tf" | ".hcl" | ".tfvars"), _):
            return list(strings_in(hcl2.loads(text)))
        case ".md", _:
            return [rendered_markdown(text)]
        case _, "Dockerfile":
            return labels_of(text)
    return []


def generate(folder: Path, name: str, description: str) -> Path:
    """Return a repository with these texts."""
    answers = {"project_name": HOOK.escaped(name), "description": HOOK.escaped(description)}
    return Path(
        cookiecutter(
            str(ROOT),
            no_input=True,
            extra_context={**answers, "project_slug": "acme-shop"},
            output_dir=str(folder),
            overwrite_if_exists=True,
            default_config=True,
        )
    )


@pytest.fixture(scope="module")
def workspace() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp())
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def plain(workspace: Path) -> dict[Path, bytes]:
    """The files of a repository with texts of letters alone."""
    repository = generate(workspace, "plain", "plain")
    return {path: path.read_bytes() for path in files_of(repository)}


@settings(
    max_examples=30,
    deadline=None,
    # CI judges a change, so it tries the same texts each time; people try new ones.
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(name=one_line(), description=one_line())
@example(name=NASTY, description=NASTY)
@example(name="- a", description="1. b")
@example(name="x" * 500, description="\\" * 500)
@example(name="#% if", description="#% else")
@example(name="$HOME", description="${HOME:-x} \\$HOME \\\\")
def test_free_text_comes_out_as_typed(
    workspace: Path, plain: dict[Path, bytes], name: str, description: str
) -> None:
    repository = generate(workspace, name, description)
    assert set(files_of(repository)) == set(plain)
    # What no text changes is parsed by the test below.
    changed = [path for path in plain if path.read_bytes() != plain[path]]
    found = {str(path.relative_to(repository)): parse(path) for path in changed}
    assert found["services/orders/package.json"].count(description) == 1
    assert description in found["services/orders/Dockerfile"]
    readme = found["README.md"][0]
    visible = re.sub(r"\s+", " ", readme)
    assert re.sub(r"\s+", " ", name) in visible
    assert re.sub(r"\s+", " ", description) in visible


def test_each_kind_of_file_is_parsed(default_repo: Path) -> None:
    kinds = {path.suffix or path.name for path in files_of(default_repo) if parse(path)}
    assert {".yaml", ".json", ".toml", ".md", "Dockerfile"} <= kinds


def test_no_template_file_holds_raw_free_text() -> None:
    """A file that names the answer itself, not an encoded form of it, breaks on the first quote."""
    for path in files_of(ROOT / "<<cookiecutter.project_slug>>"):
        raw = re.findall(
            r"<<\s*cookiecutter\.(project_name|description)\b", path.read_text(encoding="utf-8")
        )
        assert raw == [], f"{path}: use __{raw[0]}_quoted, _markdown or _dockerfile"
