"""Slipway's own documents agree with the files that they speak of."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from support import ROOT, choices, load_hook, prompts

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def option_rows() -> dict[str, list[str]]:
    """Return the cells of the table in docs/options.md by option."""
    text = (ROOT / "docs/options.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", text, re.M)
    return {name: cells.split(" | ") for name, cells in rows}


def test_the_options_are_those_of_cookiecutter_json_in_their_order() -> None:
    assert list(option_rows()) == list(prompts())


@pytest.mark.parametrize("name", list(prompts()))
def test_an_option_is_described_as_it_is(name: str) -> None:
    default, rule, effect = option_rows()[name]
    value = prompts()[name]
    if name in choices():
        assert default == value[0]
        assert rule == ", ".join(f"`{choice}`" for choice in value)
    else:
        assert default == value or (default == "from the name" and "cookiecutter." in value)
        numbers = re.findall(r"\d+(?:\.\d+)?", load_hook().RULES[name].words.split(" so that")[0])
        assert [n for n in numbers if n not in ("0", "9") and n not in rule] == []
    assert effect


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_make_targets_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for link in re.findall(r"(?:\]\(|^\[[^\]]+\]: )([^)\s#]+)", text, re.M):
        if not re.match(r"[a-z]+:", link):
            path = document.parent / unquote(link)
            assert path.exists(), f"{document} links to {link}: no such file"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    generated = (ROOT / "<<cookiecutter.project_slug>>/Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?:^|`)make ([a-z][a-z-]*)", text, re.M):
        assert re.search(rf"^{target}:", makefile + "\n" + generated, re.M), (
            f"{document} says `make {target}`; no Makefile has such a target"
        )


def test_the_map_of_the_readme_names_folders_that_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    folders = re.findall(r"`([^` ]+/)`", text.split("## Map")[1])
    assert len(folders) >= 5
    for folder in folders:
        assert (ROOT / folder).is_dir(), f"README's map names {folder}"


@pytest.mark.parametrize("document", ["README.md", "docs/generate.md"])
def test_cruft_is_given_an_address_that_git_knows(document: str) -> None:
    """It does not know cookiecutter's gh: and hands it to git, for which it is a machine called gh."""
    text = (ROOT / document).read_text(encoding="utf-8")
    given = re.findall(r"cruft create\b *(\S*)", text)
    assert given and [address for address in given if not address.startswith("https://")] == []


def test_in_ten_minutes_counts_the_programs_that_mise_loads() -> None:
    """The table of aqua (aquaproj/aqua-registry) says where each comes from."""
    text = (ROOT / "<<cookiecutter.project_slug>>/mise.toml").read_text(encoding="utf-8")
    tools = re.findall(r'^"?([\w:/-]+)"? = ', text.split("[tools]")[1].split("\n[")[0], re.M)
    elsewhere = {
        "node": "Node.js from nodejs.org",
        "aqua:hashicorp/terraform": "Terraform from releases.hashicorp.com",
        "aqua:helm/helm": "Helm from get.helm.sh",
        "aqua:kubernetes/kubernetes/kubectl": "kubectl from dl.k8s.io",
    }
    page = " ".join((ROOT / "docs/start.md").read_text(encoding="utf-8").split())
    for name, source in elsewhere.items():
        assert name in tools and source in page, f"docs/start.md does not say: {source}"
    others = [name for name in tools if name not in elsewhere and "mailpit" not in name]
    assert len(others) == 13 and "thirteen programs from GitHub" in page, others
