"""Build the documentation site: `python -m tools.docs`; with `--serve`, show it too.

Pages are the Markdown files of docs/ and some of the root, and the documents of a repository that
is generated for it with the default answers. A link to any other file leads to a page that shows
it, so the site needs no address of a repository.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from cookiecutter.main import cookiecutter

from tools import fetch

ROOT = fetch.ROOT
OUT = ROOT / "build" / "docs"
TEMPLATE = "<<cookiecutter.project_slug>>"
SERVICE = "<<cookiecutter.service_name>>"
FIRST_SERVICE = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))["service_name"]
# Documents of the root that are pages; the names avoid those of docs/.
ROOT_PAGES = {
    "README.md": "readme.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security-policy.md",
}
LANGUAGES = {
    ".css": "css", ".js": "js", ".json": "json", ".md": "md", ".mjs": "js", ".py": "python",
    ".sh": "sh", ".tf": "hcl", ".hcl": "hcl", ".toml": "toml", ".ts": "ts", ".yaml": "yaml",
    ".yml": "yaml", "Dockerfile": "docker", "Makefile": "make",
}  # fmt: skip
# What draws the diagrams, served with the site. Zensical would load its newest from elsewhere.
MERMAID = "12.3.0"
MERMAID_SHA256 = "be0684e8d20bfc874df12c0f04927a5c482f57f2200eec54cca52a4583fd4040"
MERMAID_ELSEWHERE = '"https://unpkg.com/mermaid@12/dist/mermaid.min.js"'
MERMAID_HERE = "assets/javascripts/mermaid.min.js"

LINK = re.compile(r"(\]\(|^\[[^\]]+\]: )(?!#)([^)\s]+)", re.M)
ITEM = re.compile(r"( *)([-*]|\d+\.) +")


def generate(folder: Path) -> Path:
    """Generate a repository with the default answers."""
    return Path(cookiecutter(str(ROOT), no_input=True, output_dir=str(folder)))


def mermaid() -> Path:
    """Return Mermaid's bundle, getting it by npm when it is not in the cache.

    Raises:
        FetchError: it could not be had, or is not the one that is pinned.
    """
    home = fetch.CACHE / f"mermaid-{MERMAID}"
    bundle = home / "mermaid.min.js"
    with fetch.locked(home):
        if not bundle.exists():
            path = fetch.commands(["node"])
            with tempfile.TemporaryDirectory(dir=fetch.CACHE, prefix=".mermaid-") as scratch:
                command = [str(path / "npm"), "pack", "--silent", "--pack-destination", scratch]
                fetch.run(
                    [*command, f"mermaid@{MERMAID}"], fetch.with_path(path), "getting Mermaid"
                )
                archive = next(Path(scratch).glob("*.tgz"))
                if hashlib.sha256(archive.read_bytes()).hexdigest() != MERMAID_SHA256:
                    raise fetch.FetchError(f"mermaid@{MERMAID} is not the package that is pinned")
                with tarfile.open(archive) as files:
                    member = files.extractfile("package/dist/mermaid.min.js")
                    assert member is not None
                    home.mkdir(exist_ok=True)
                    partial = home / "partial"
                    partial.write_bytes(member.read())
                    partial.rename(bundle)
    return bundle


def tree(repository: Path) -> str:
    """Return the folders of a repository, two deep, and the files at its top."""
    lines = [f"{repository.name}/"]
    for path in sorted(repository.iterdir(), key=lambda path: (path.is_file(), path.name)):
        lines.append(f"  {path.name}{'/' if path.is_dir() else ''}")
        if path.is_dir():
            inner = sorted(folder.name for folder in path.iterdir() if folder.is_dir())
            lines += [f"    {name}/" for name in inner]
    return "\n".join(lines)


def outside_fences(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the lines of a document, and whether each is outside of fenced code."""
    fence = ""
    for line in text.splitlines():
        mark = re.match(r" *(```+)", line)
        if mark and not fence:
            fence = mark[1]
            yield line, False
        elif fence:
            if line.strip() == fence:
                fence = ""
            yield line, False
        else:
            yield line, True


def for_python_markdown(text: str) -> str:
    """Return a document of GitHub's Markdown as Python-Markdown reads it alike.

    That wants four spaces below an item of a list, and an empty line before a list or a table.
    """
    lines: list[str] = []
    items: list[int] = []
    for line, prose in outside_fences(text):
        indent = len(line) - len(line.lstrip(" "))
        item = ITEM.match(line) if prose else None
        after_blank = not lines or not lines[-1].strip()
        if line.strip() and (item or after_blank or not prose):
            while items and indent < items[-1]:
                items.pop()
        in_list = bool(items)
        depth = len(items)
        if items and line.strip():
            line = " " * (4 * depth + max(0, indent - items[-1])) + line.lstrip(" ")
        if item:
            if not in_list and not after_blank and not ITEM.match(lines[-1]):
                lines.append("")
            items.append(item.end())
        elif line.startswith("|") and not after_blank and not lines[-1].lstrip().startswith("|"):
            lines.append("")
        lines.append(line)
    return "\n".join(lines) + "\n"


def framed(text: str) -> str:
    """Return a document with a frame around each diagram, which can be wider than a phone."""
    return re.sub(
        r"^```mermaid\n.+?^```$",
        lambda match: f'<div class="diagram" markdown>\n\n{match[0]}\n\n</div>',
        text,
        flags=re.M | re.S,
    )


class Pages:
    """The pages of the site, made from files and from one another's links."""

    def __init__(self, repository: Path, target: Path) -> None:
        self.repository = repository
        self.target = target
        self.made: dict[Path, str] = {}
        self.waiting: list[Path] = []

    def page_of(self, source: Path) -> str:
        """Return the page that shows a file or folder."""
        if source.is_relative_to(ROOT / TEMPLATE):
            parts = [
                part.replace(SERVICE, FIRST_SERVICE) for part in source.relative_to(ROOT).parts
            ]
            source = self.repository.joinpath(*parts[1:])
        if source.is_relative_to(self.repository):
            folder, inside = "repository", source.relative_to(self.repository)
        elif source.is_relative_to(ROOT / "docs"):
            folder, inside = "", source.relative_to(ROOT / "docs")
        elif str(source.relative_to(ROOT)) in ROOT_PAGES:
            return self.remember(source, ROOT_PAGES[str(source.relative_to(ROOT))])
        else:
            folder, inside = "source", source.relative_to(ROOT)
        # Folders whose names begin with a dot are not served everywhere.
        parts = [part.lstrip(".") for part in inside.parts]
        if source.is_dir():
            readme = source / "README.md"
            return (
                self.page_of(readme)
                if readme.exists()
                else self.remember(source, str(Path(folder, *parts, "index.md")))
            )
        if inside.name == "README.md":
            parts[-1] = "index.md"
        elif inside.suffix in (".svg", ".png"):
            pass
        elif inside.suffix != ".md":
            parts[-1] += ".md"
        return self.remember(source, str(Path(folder, *parts)))

    def remember(self, source: Path, page: str) -> str:
        """Note that a page is to be made."""
        if source not in self.made:
            self.made[source] = page
            self.waiting.append(source)
        return page

    def links(self, text: str, source: Path, page: str) -> str:
        """Return a document with its links to files as links to their pages.

        Raises:
            FileNotFoundError: a link leads nowhere.
        """

        def replace(match: re.Match[str]) -> str:
            address, _, anchor = match[2].partition("#")
            if re.match(r"[a-z]+:", address) or not address:
                return match[0]
            path = Path(os.path.normpath(source.parent / unquote(address)))
            if not path.exists():
                raise FileNotFoundError(f"{source} links to {address}: no such file")
            relative = os.path.relpath(self.page_of(path), Path(page).parent)
            return match[1] + relative + ("#" + anchor if anchor else "")

        return "\n".join(
            LINK.sub(replace, line) if prose else line for line, prose in outside_fences(text)
        )

    def make(self, source: Path) -> None:
        """Make one page."""
        page = self.made[source]
        target = self.target / page
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            text = self.listing(source, page)
        elif source.suffix in (".svg", ".png"):
            shutil.copyfile(source, target)
            return
        elif source.suffix == ".md":
            text = source.read_text(encoding="utf-8")
            text = framed(for_python_markdown(self.links(text, source, page)))
        else:
            base = self.repository if source.is_relative_to(self.repository) else ROOT
            language = LANGUAGES.get(source.suffix or source.name, "text")
            code = source.read_text(encoding="utf-8").rstrip("\n")
            text = f"---\nsearch:\n  exclude: true\n---\n\n# {source.relative_to(base)}\n\n"
            text += f"`````{language}\n{code}\n`````\n"
        target.write_text(text, encoding="utf-8")

    def listing(self, folder: Path, page: str) -> str:
        """Return a page that lists the files of a folder: documents by title, others by name."""
        decisions = folder == ROOT / "docs/decisions"
        title = "Decisions" if decisions else folder.name + "/"
        lines = [f"# {title}", ""]
        if decisions:
            lines += ["What was chosen where there was a choice, and why.", ""]
        for path in sorted(folder.iterdir()):
            name = path.name
            if path.suffix == ".md":
                name = path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
            link = os.path.relpath(self.page_of(path), Path(page).parent)
            lines.append(f"- [{name}]({link})")
        return "\n".join(lines) + "\n"

    def make_all(self) -> None:
        """Make the pages that one begins with, and all that they link to."""
        for source in [*sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("*.md"))]:
            self.page_of(source)
        self.page_of(ROOT / "docs/decisions")
        self.page_of(self.repository / "README.md")
        for folder in ("docs", "runbooks"):
            for source in sorted((self.repository / folder).glob("*.md")):
                self.page_of(source)
        while self.waiting:
            self.make(self.waiting.pop())


def serve_mermaid(site: Path) -> None:
    """Put Mermaid into the site, and let the theme load it from there.

    Raises:
        ValueError: the theme loads it from another place than is known.
    """
    shutil.copyfile(mermaid(), site / MERMAID_HERE)
    (bundle,) = (site / "assets/javascripts").glob("bundle.*.min.js")
    text = bundle.read_text(encoding="utf-8")
    if text.count(MERMAID_ELSEWHERE) != 1:
        raise ValueError(f"{bundle.name} does not load {MERMAID_ELSEWHERE}: see where it does now")
    here = f'new URL("{MERMAID_HERE}",__md_scope).href'
    bundle.write_text(text.replace(MERMAID_ELSEWHERE, here), encoding="utf-8")


def build(out: Path = OUT) -> Path:
    """Build the site strictly: a warning ends it. Return its folder.

    Raises:
        CalledProcessError: Zensical found a fault, which it has printed.
    """
    shutil.rmtree(out, ignore_errors=True)
    (out / "pages").mkdir(parents=True)
    pages = Pages(generate(out / "generated"), out / "pages")
    pages.make_all()
    shutil.copyfile(ROOT / "docs/extra.css", out / "pages/extra.css")
    settings = (ROOT / "docs/zensical.toml").read_text(encoding="utf-8")
    if address := os.environ.get("SITE_URL"):
        # Only the page for what is not found needs it, as it is shown below any path.
        settings = settings.replace(
            "[project]\n", f"[project]\nsite_url = {json.dumps(address)}\n", 1
        )
    (out / "zensical.toml").write_text(settings, encoding="utf-8")
    program = Path(sys.executable).parent / "zensical"
    subprocess.run([program, "build", "--strict", "--clean"], cwd=out, check=True)
    serve_mermaid(out / "site")
    return out / "site"


def serve(port: int) -> None:
    """Serve the site on this machine alone, and build it anew when a document changes."""

    def newest() -> float:
        sources = [
            *ROOT.glob("*.md"),
            *(ROOT / "docs").rglob("*"),
            *(ROOT / TEMPLATE).rglob("*.md"),
        ]
        return max(path.stat().st_mtime for path in sources)

    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(OUT / "site"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}/ until Ctrl-C")
    seen = newest()
    while True:
        time.sleep(1)
        if newest() > seen:
            seen = newest()
            try:
                build()
            except (FileNotFoundError, subprocess.CalledProcessError) as error:
                print(error, file=sys.stderr)


def main(arguments: list[str]) -> int:
    """Build the site, and serve it when asked to."""
    try:
        print(build())
    except (FileNotFoundError, fetch.FetchError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    if "--serve" in arguments:
        try:
            serve(int(os.environ.get("PORT", "8000")))
        except KeyboardInterrupt:
            print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
