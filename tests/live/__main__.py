"""Runs the whole chain of a generated repository in a real cluster: `make live`."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from live import cluster, given
from live.cluster import Base, Cluster, LiveError
from live.steps import SETS, Live, facts, prepare
from live.watch import Watch
from support import ROOT

from tools import fetch
from tools.cluster import ClusterError

KEPT = ROOT / "build" / "live"
FAILURES = (LiveError, ClusterError, TimeoutError, AssertionError, pytest.fail.Exception, OSError)
Step = tuple[str, Callable[[], str]]
# What is left out where pods can't be given the programs that watch.
WATCHING = "Prometheus, pages, the restart alert, dashboards"


def steps(live: Live, answers: str) -> list[Step]:
    """Return the steps of a set of answers in their order, with what each is about."""
    ahead: list[Step] = [
        ("release: build.js, scan.js, publish.js, deploy.js", live.first_release),
        ("Argo CD syncs the platform", live.install),
    ]
    pods: Step = ("Argo CD syncs the service", live.first_pods)
    change: Step = ("a change goes live under load", live.change_under_load)
    guarded: list[Step] = [
        ("drift is healed", live.drift),
        ("what breaks a policy is refused", live.refused),
    ]
    network: Step = ("network policies, by real connections", live.network)
    bad: Step = ("a bad commit, and its revert", live.bad_commit)
    if not isinstance(live.cluster, Cluster):
        return [*ahead, pods, change, *guarded, network, bad]
    if answers == "kustomize":
        return [*ahead, pods, change, *guarded, bad]
    watch = Watch(live, live.cluster)
    scrape: Step = ("Prometheus scrapes the pods", watch.start)
    if answers == "canary":
        return [
            *ahead,
            ("Argo Rollouts starts", watch.start_rollouts),
            pods,
            scrape,
            ("a good version goes through its steps", watch.good_canary),
            ("a bad version goes back by itself", watch.bad_canary),
        ]
    return [
        *(*ahead, pods, scrape, change),
        # It takes minutes until somebody is paged, at real speed; the next steps need not wait.
        ("requests begin to fail", watch.fail),
        *(*guarded, network),
        ("a restart alert", watch.out_of_memory),
        ("a bad commit, and its revert", lambda: live.bad_commit(watch.crash_looping)),
        ("a page", watch.page),
        ("dashboards", watch.dashboards),
    ]


def say(started: float, what: str, proof: str) -> None:
    print(f"{time.monotonic() - started:7.1f} s  {what}: {proof}", flush=True)


def inside(home: Path, answers: str) -> int:
    """Run all steps, in namespaces of their own; keep what there is to know about a failure."""
    began = started = time.monotonic()
    what = "a cluster of one node"
    kept = KEPT / time.strftime("%Y%m%d-%H%M%S")
    plane: Base = given.Given(home) if given.named() else Cluster(home)
    if plane.given:
        what = "the given cluster"
        print(f"    LEFT OUT: {WATCHING}: only in a cluster of our own (docs/live.md)")
    workload = "rollout.argoproj.io" if answers == "canary" else "deployment"
    try:
        with plane:
            parts = ", ".join(f"{name} {value:.1f} s" for name, value in plane.seconds.items())
            say(started, what, parts)
            live = Live(home, plane, workload)
            try:
                for what, step in steps(live, answers):
                    started = time.monotonic()
                    proof = step()
                    say(started, what, proof)
            except (*FAILURES, KeyboardInterrupt):
                plane.keep(kept)
                raise
            for name, value in live.figures.items():
                print(f"{value:7.1f} s  {name}")
            started = time.monotonic()
        if plane.given:
            say(started, "what was made is removed", "namespaces, policies, definitions of kinds")
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


def why_not(answers: str) -> str:
    """Return in one line why there can be no run here, or nothing."""
    if not given.named():
        return cluster.why_not()
    if answers == "canary":
        return "the set canary needs Prometheus, which only a cluster of our own has"
    return cluster.why_not(given=True) or given.why_not()


def programs(answers: str) -> tuple[str, ...]:
    """Return the names of the programs that a run needs."""
    if given.named():
        return (*fetch.EVERYDAY, *fetch.GIVEN)
    canary = ("argo-rollouts",) if answers == "canary" else ()
    return (*fetch.EVERYDAY, *fetch.BIG, *fetch.LIVE, *canary)


def main() -> int:
    """Get the programs, prepare what needs the network, and run the rest without one."""
    parser = argparse.ArgumentParser(prog="live", description=__doc__)
    parser.add_argument("--set", choices=SETS, default="helm", help="which answers are given")
    parser.add_argument("home", nargs="?", type=Path, help="what was prepared before")
    options = parser.parse_args()
    if cluster.INSIDE in os.environ:
        return inside(options.home, options.set)
    # So that the folder below is removed then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    why = why_not(options.set)
    if why:
        print(f"make live cannot run here: {why}", file=sys.stderr)
        return 1
    fetch.commands(programs(options.set))
    known = facts()
    if given.named():
        known = facts(os.environ["LIVE_REGISTRY"], given.load_balancer())
    else:
        version = f"v{fetch.TOOLS['cilium-agent'].version}"
        fetch.go_module("github.com/cilium/cilium", version, "getting Cilium")
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slipway-live-")))
        started = time.monotonic()
        prepare(home, SETS[options.set], known)
        say(started, "a repository is generated", "committed, its image built by its Dockerfile")
        command = [sys.executable, "-m", "live", f"--set={options.set}", str(home)]
        return cluster.isolated(command, home, network=not given.named())


if __name__ == "__main__":
    sys.exit(main())
