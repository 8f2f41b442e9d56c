"""Charts are those of the pinned version, and what could not be had is said."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest
from conftest import Tools
from support import run

from tools import charts, fetch


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a chart that is called some, of version 1.2.3."""
    monkeypatch.delenv(charts.FOLDER, raising=False)
    folder = tmp_path / "unpacked"
    (folder / "some").mkdir(parents=True)
    meta = "apiVersion: v2\nname: some\nversion: 1.2.3\n"
    (folder / "some/Chart.yaml").write_text(meta, encoding="utf-8")
    return folder


class Silent(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder; yield its address."""
    with HTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_given_chart_is_taken_at_its_version_only(
    unpacked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(charts.FOLDER, str(unpacked))
    assert charts.chart("some", "1.2.3", "http://127.0.0.1:9") == unpacked / "some"
    with pytest.raises(fetch.FetchError, match=r"unpacked/some holds version 1\.2\.3"):
        charts.given("some", "1.2.4")
    with pytest.raises(fetch.FetchError, match=r"unpacked/other holds no Chart\.yaml"):
        charts.given("other", "1.2.3")


@pytest.mark.slow
def test_a_chart_is_pulled_once_and_what_is_not_there_is_named(
    unpacked: Path, tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helm = tools.path("helm")
    monkeypatch.setattr(fetch, "program", lambda _: helm)
    monkeypatch.setattr(fetch, "CACHE", tmp_path / "cache")
    repository = tmp_path / "repository"
    run(helm, "package", "some", f"--destination={repository}", cwd=unpacked)
    run(helm, "repo", "index", ".", cwd=repository)
    with served(repository) as address:
        folder = charts.chart("some", "1.2.3", address)
        with pytest.raises(fetch.FetchError, match=r"some 1\.2\.4 could not be had.*not found"):
            charts.chart("some", "1.2.4", address)
    assert charts.chart("some", "1.2.3", address) == folder
    assert (folder / "Chart.yaml").is_file()
    kept = {path.name for path in fetch.CACHE.iterdir() if not path.name.endswith(".lock")}
    assert kept == {"chart-some-1.2.3"}


@pytest.mark.slow
def test_kyvernos_chart_comes_with_its_go_module_too(
    unpacked: Path, tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(charts.FOLDER, str(unpacked))
    programs = {name: tools.path(name) for name in ("helm", "go")}
    monkeypatch.setattr(fetch, "program", programs.__getitem__)
    monkeypatch.setattr(fetch, "CACHE", tmp_path / "cache")
    with pytest.raises(fetch.FetchError) as caught:
        charts.chart("kyverno", "0.0.1", "http://127.0.0.1:9")
    for place in (charts.FOLDER, "http://127.0.0.1:9: helm pull", "its Go module"):
        assert place in str(caught.value)
    version = str(caught.value).rsplit(" ", 1)[1]
    folder = charts.chart("kyverno", version, "http://127.0.0.1:9")
    run(programs["helm"], "template", "kyverno", folder, cwd=tmp_path)
