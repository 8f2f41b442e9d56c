"""The documentation site in a real browser, as wide as a desk and as narrow as a phone.

Pictures of what was seen are left in build/docs-pictures.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, sync_playwright
from support import ROOT, require

pytestmark = pytest.mark.slow

PICTURES = ROOT / "build" / "docs-pictures"
BROWSERS = ("chromium", "google-chrome", "chromium-browser")
WIDTHS: dict[str, dict[str, Any]] = {
    "desk": {"viewport": {"width": 1280, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
}
PAGES = {
    "": 0,
    "start/": 0,
    "options/": 0,
    "what-you-get/": 2,
    "first-cluster/": 1,
    "day-two/": 0,
    "security/": 1,
    "compare/": 0,
    "monitoring/": 0,
    "repository/docs/threat-model/": 0,
    "repository/docs/delivery/": 3,
}


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_request(self, *_: object) -> None:
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser of this machine."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    require(program is not None, "there is no Chromium", "apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program)
        yield started
        started.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_pages_are_drawn(width: str, address: str, browser: Browser) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(**WIDTHS[width])
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    for name, diagrams in PAGES.items():
        page.goto(address + name, wait_until="load")
        if diagrams:
            # The theme puts a drawing in place of the text of a diagram.
            page.wait_for_selector("div.mermaid", timeout=20_000)
            page.wait_for_function("!document.querySelector('pre.mermaid')", timeout=20_000)
        heights = page.eval_on_selector_all("div.mermaid", "all => all.map(e => e.offsetHeight)")
        assert len(heights) == diagrams and all(height > 50 for height in heights), (name, heights)
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"{name or 'index'} is {wide} pixels wider than the {width}"
        picture = f"{width}-{name.strip('/').replace('/', '-') or 'index'}.png"
        page.screenshot(path=PICTURES / picture)
    context.close()
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert [line for line in said if not line.startswith(("log:", "info:", "debug:"))] == []


def test_the_search_finds_a_page(address: str, browser: Browser) -> None:
    page = browser.new_page(**WIDTHS["desk"])
    found = page.locator("a[href*='day-two']:visible >> text=/roll back/i").first
    for _ in range(10):
        page.goto(address)
        # A key that comes before the page listens is lost.
        page.wait_for_timeout(500)
        page.keyboard.press("/")
        page.keyboard.type("roll back")
        with contextlib.suppress(Error):
            found.wait_for(timeout=4_000)
            break
    assert found.is_visible()
    page.close()
