"""`make live` as a test: a push goes the whole way, from git to pods in a real cluster."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import Tools
from live.cluster import why_not
from support import ROOT, require

from tools import fetch


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
