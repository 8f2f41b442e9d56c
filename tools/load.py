"""Load on a service, by autocannon at the version that bench/package-lock.json locks."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tools import fetch

BENCH = fetch.ROOT / "bench"


def install() -> Path:
    """Install the load generator when it is not there as locked; return its program.

    Raises:
        FetchError: npm failed.
    """
    # npm writes this file last.
    installed = BENCH / "node_modules" / ".package-lock.json"
    lockfile = BENCH / "package-lock.json"
    with fetch.locked(fetch.CACHE / "bench"):
        if not installed.exists() or installed.stat().st_mtime < lockfile.stat().st_mtime:
            path = fetch.commands(["node"])
            command = [str(path / "npm"), "--prefix", str(BENCH), "ci"]
            fetch.say("installing the load generator")
            fetch.run(command, fetch.with_path(path), "installing the load generator")
            installed.touch()
    return BENCH / "node_modules" / "autocannon" / "autocannon.js"


def put(url: str, connections: int, seconds: int, warm_up: int = 0) -> dict[str, Any]:
    """Request a URL over keep-alive connections for some seconds; return autocannon's report."""
    command = [str(fetch.program("node")), str(install()), "--json", "-c", str(connections)]
    command += ["-d", str(seconds)]
    if warm_up:
        command += ["-W", "[", "-c", str(connections), "-d", str(warm_up), "]"]
    result = subprocess.run([*command, url], check=True, capture_output=True, text=True)
    # With a warm-up, autocannon prints a report for it first.
    report: dict[str, Any] = json.loads(result.stdout.strip().splitlines()[-1])
    return report
