"""`make live` as a test: a push goes the whole way, from git to pods in a real cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Tools
from live import given
from live.cluster import why_not
from support import ROOT, require

from tools import fetch


def test_it_says_in_one_line_why_it_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "root" in why_not() and "\n" not in why_not()
    monkeypatch.setattr("sys.platform", "darwin")
    assert "Linux" in why_not() and "\n" not in why_not()


@pytest.mark.parametrize(
    ("context", "server", "environment", "said"),
    [
        ("prod", "https://10.1.2.3", {}, "LIVE_CONTEXT=prod"),
        ("prod", "https://10.1.2.3", {"LIVE_CONTEXT": "other"}, "LIVE_CONTEXT=prod"),
        ("prod", "https://127.0.0.1.example.com", {}, "LIVE_CONTEXT=prod"),
        ("prod", "https://10.1.2.3", {"LIVE_CONTEXT": "prod"}, "LIVE_REGISTRY"),
        ("kind-kind", "https://10.1.2.3", {}, "LIVE_REGISTRY"),
        ("k3d-it", "https://0.0.0.0:6443", {}, "LIVE_REGISTRY"),
        ("mine", "https://127.0.0.1:6443", {}, "LIVE_REGISTRY"),
        # Nobody listens there.
        ("mine", "https://127.0.0.1:1", {"LIVE_REGISTRY": "localhost:5001"}, "refused"),
    ],
)
def test_only_a_cluster_that_is_meant_is_used(
    tools: Tools,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    context: str,
    server: str,
    environment: dict[str, str],
    said: str,
) -> None:
    tools.path("kubectl")
    config = tmp_path / "config"
    parts = {
        "clusters": [{"name": "one", "cluster": {"server": server}}],
        "contexts": [{"name": context, "context": {"cluster": "one", "user": "me"}}],
        "users": [{"name": "me", "user": {"token": "nobody's"}}],
    }
    config.write_text(json.dumps({"kind": "Config", "current-context": context, **parts}), "utf-8")
    for name in ("LIVE_CONTEXT", "LIVE_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"KUBECONFIG": str(config), **environment}.items():
        monkeypatch.setenv(name, value)
    why = given.why_not()
    assert said in why and "\n" not in why


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
