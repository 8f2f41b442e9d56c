"""Runs the whole chain of a generated repository in a real cluster: `make live`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from live import cluster
from live.cluster import Cluster, LiveError
from live.steps import Live, prepare
from live.watch import Watch
from support import ROOT

from tools import fetch
from tools.cluster import ClusterError

KEPT = ROOT / "build" / "live"
FAILURES = (LiveError, ClusterError, TimeoutError, AssertionError, pytest.fail.Exception, OSError)


def steps(live: Live) -> list[tuple[str, Callable[[], str]]]:
    """Return the steps in their order, with what each is about."""
    watch = Watch(live)
    return [
        ("release: build.js, scan.js, publish.js, deploy.js", live.first_release),
        ("Argo CD syncs the platform", live.install),
        ("Argo CD syncs the service", live.first_pods),
        ("Prometheus scrapes the pods", watch.start),
        ("a change goes live under load", live.change_under_load),
        ("drift is healed", live.drift),
        ("what breaks a policy is refused", live.refused),
        ("network policies, by real connections", live.network),
        ("a page", watch.page),
        ("a restart alert", watch.out_of_memory),
        ("a bad commit, and its revert", live.bad_commit),
        ("dashboards", watch.dashboards),
    ]


def say(started: float, what: str, proof: str) -> None:
    print(f"{time.monotonic() - started:7.1f} s  {what}: {proof}", flush=True)


def inside(home: Path) -> int:
    """Run all steps, in namespaces of their own; keep what there is to know about a failure."""
    began = started = time.monotonic()
    what = "a cluster of one node"
    kept = KEPT / time.strftime("%Y%m%d-%H%M%S")
    plane = Cluster(home)
    try:
        with plane:
            parts = ", ".join(f"{name} {value:.1f} s" for name, value in plane.seconds.items())
            say(started, what, parts)
            live = Live(home, plane)
            try:
                for what, step in steps(live):
                    started = time.monotonic()
                    proof = step()
                    say(started, what, proof)
            except (*FAILURES, KeyboardInterrupt):
                plane.keep(kept)
                raise
            for name, value in live.figures.items():
                print(f"{value:7.1f} s  {name}")
    except FAILURES as error:
        print(f"FAILED after {time.monotonic() - started:.1f} s: {what}\n{error}", file=sys.stderr)
        if kept.is_dir():
            print(f"logs, events and descriptions: {kept}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"interrupted in: {what}", file=sys.stderr)
        return 130
    print(f"{time.monotonic() - began:7.1f} s  in all")
    return 0


def main() -> int:
    """Get the programs, prepare what needs the network, and run the rest without one."""
    if cluster.INSIDE in os.environ:
        return inside(Path(sys.argv[1]))
    why = cluster.why_not()
    if why:
        print(f"make live cannot run here: {why}", file=sys.stderr)
        return 1
    # So that the folder below is removed then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    fetch.commands(fetch.EVERYDAY + fetch.BIG + fetch.LIVE)
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slipway-live-")))
        started = time.monotonic()
        prepare(home)
        say(started, "a repository is generated", "committed, its image built by its Dockerfile")
        return cluster.isolated([sys.executable, "-m", "live", str(home)], home)


if __name__ == "__main__":
    sys.exit(main())
