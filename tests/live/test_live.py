"""`make live` as a test: a push goes the whole way, from git to pods in a real cluster."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import Tools
from live.cluster import why_not
from support import ROOT, require

from tools import fetch


def test_it_says_in_one_line_why_it_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "root" in why_not() and "\n" not in why_not()
    monkeypatch.setattr("sys.platform", "darwin")
    assert "Linux" in why_not() and "\n" not in why_not()


@pytest.mark.live
@pytest.mark.timeout(1800)
def test_a_push_goes_the_whole_way(tools: Tools, capsys: pytest.CaptureFixture[str]) -> None:
    require(not why_not(), "the live cluster", why_not())
    tools.folder(*fetch.EVERYDAY, *fetch.BIG, *fetch.LIVE)
    with capsys.disabled():
        print()
        code = subprocess.run(
            [sys.executable, "-m", "live"],
            cwd=ROOT,
            env={**fetch.with_path(tools.folder()), "PYTHONPATH": f"{ROOT}/tests:{ROOT}"},
            check=False,
        ).returncode
    assert code == 0, "what failed, and where its logs are, stands above"
