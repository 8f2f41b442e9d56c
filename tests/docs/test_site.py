"""The documentation site holds together, says what is so, and asks nobody but itself."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt
from support import ROOT

from tools import docs

# Pages whose commands a reader will type.
HANDS_ON = ("start", "generate", "first-cluster", "day-two")
# What a page has that must not be lost between GitHub's Markdown and the site's.
SHAPES = ("li", "table", "pre", "ol", "ul", "tr")


class Page(HTMLParser):
    """Addresses and anchors of a page, and the shapes of its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors = {""}
        self.links: list[str] = []
        self.loads: list[str] = []
        self.shapes: Counter[str] = Counter()
        self.in_text = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note what an element is, names or asks for."""
        values = dict(attributes)
        self.anchors |= {values.get("id") or "", values.get("name") or ""}
        if tag == "article":
            self.in_text = True
        if self.in_text and tag in SHAPES:
            self.shapes[tag] += 1
        if tag == "a" and values.get("href"):
            self.links.append(values["href"] or "")
        elif tag == "link" and values.get("rel") not in ("prev", "next", "canonical"):
            self.loads.append(values.get("href") or "")
        elif values.get("src"):
            self.loads.append(values["src"] or "")

    def handle_endtag(self, tag: str) -> None:
        """Note where the text ends."""
        if tag == "article":
            self.in_text = False


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[Path, Page]:
    """The pages of the site by path."""
    return {path: Page(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}


def test_links_lead_to_pages_and_headings(site: Path, pages: dict[Path, Page]) -> None:
    lost = []
    for path, page in pages.items():
        for address in [*page.links, *page.loads]:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            known = pages[target].anchors if target in pages else {""}
            # A folder that the site does not have would be somebody else's page.
            if not target.is_file() or not target.is_relative_to(site):
                lost.append(f"{path.relative_to(site)}: {address}")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in known:
                lost.append(f"{path.relative_to(site)}: {address}: no such heading")
    assert len(pages) > 100
    assert not lost, "\n".join(lost[:20])


def test_pages_ask_nobody_else(site: Path, pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        assert [load for load in page.loads if urlsplit(load).netloc] == [], path
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert re.findall(r"""(?:url\(|@import )["']?(?:https?:)?//[^)]+""", text) == [], style
    assert (site / docs.MERMAID_HERE).stat().st_size > 1_000_000


def test_lists_tables_and_code_are_those_that_github_shows(
    site: Path, pages: dict[Path, Page]
) -> None:
    generated = next((site.parent / "generated").iterdir())
    sources = {
        **{path: path.stem for path in (ROOT / "docs").glob("*.md") if path.stem != "index"},
        **{path: f"repository/docs/{path.stem}" for path in (generated / "docs").glob("*.md")},
        **{
            path: f"repository/runbooks/{path.stem}"
            for path in (generated / "runbooks").glob("*.md")
            if path.stem != "README"
        },
    }
    assert len(sources) > 40
    for source, page in sources.items():
        html = MarkdownIt("commonmark").enable("table").render(source.read_text(encoding="utf-8"))
        there = pages[site / page / "index.html"].shapes
        wanted = {shape: len(re.findall(rf"<{shape}\b", html)) for shape in SHAPES}
        assert {shape: there[shape] for shape in SHAPES} == wanted, source


@pytest.mark.parametrize("name", HANDS_ON)
def test_a_command_stands_in_a_document_that_is_tested(name: str, default_repo: Path) -> None:
    """A snippet is a copy of one that the generated repository or the README has."""
    hook = (ROOT / "hooks/post_gen_project.py").read_text(encoding="utf-8")
    known = {
        line.strip()
        for path in [ROOT / "README.md", *default_repo.rglob("*.md")]
        for line in path.read_text(encoding="utf-8").splitlines()
    }
    text = (ROOT / f"docs/{name}.md").read_text(encoding="utf-8")
    for block in re.findall(r"```sh\n(.+?)```", text, re.S):
        for line in block.splitlines():
            quoted = any(f"`{line}`" in other for other in known)
            assert line in known or quoted or line in hook or is_target(line), (
                f"docs/{name}.md says {line!r}; no document of a generated repository does"
            )


def is_target(line: str) -> bool:
    """Say whether a line is a target of Slipway's own Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return line.startswith("make ") and f"\n{line.removeprefix('make ')}:" in makefile


def test_the_tree_is_that_of_a_repository(default_repo: Path) -> None:
    text = (ROOT / "docs/what-you-get.md").read_text(encoding="utf-8")
    tree = docs.tree(default_repo)
    assert f"```text\n{tree}\n```" in text, f"docs/what-you-get.md needs this tree:\n{tree}"
