"""Runs the steps for a given cluster against one of our own, which they know only by KUBECONFIG.

`python -m live.nested`: what kind or k3d would be, our own cluster is here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from live import cluster, given
from live.cluster import NODE, REGISTRY, Cluster, isolated
from live.steps import SETS, facts, prepare

from tools import fetch

NODES = "10.0.0.0/16"


def inside(home: Path) -> int:
    """Start a cluster, and in a process of its own what is given it."""
    with Cluster(home / "cluster") as plane:
        os.environ |= {"KUBECONFIG": str(plane.kubeconfig), "LIVE_REGISTRY": REGISTRY}
        refused = given.why_not()
        assert "LIVE_CONTEXT=test" in refused and NODE in refused, refused
        os.environ["LIVE_CONTEXT"] = "test"
        assert not given.why_not(), given.why_not()
        assert given.load_balancer() == NODES
        before = everything(plane)
        command = [sys.executable, "-m", "live", "--set=kustomize", str(home)]
        code = subprocess.run(command, check=False).returncode
        left = everything(plane) - before
        assert not left, f"not removed: {left}"
    return code


def everything(plane: Cluster) -> set[str]:
    """Return the names of what must not be left behind."""
    kinds = f"{given.KINDS},clusterroles,configmaps,pods"
    return set(plane.kubectl("get", kinds, "--all-namespaces", "--output=name").stdout.split())


def main() -> int:
    """Prepare a repository, and start the cluster in namespaces of its own."""
    if cluster.INSIDE in os.environ:
        return inside(Path(sys.argv[1]))
    why = cluster.why_not()
    if why:
        print(f"this cannot run here: {why}", file=sys.stderr)
        return 1
    fetch.commands((*fetch.EVERYDAY, *fetch.BIG, *fetch.LIVE))
    with tempfile.TemporaryDirectory(prefix="slipway-live-") as home:
        Path(home, "cluster").mkdir()
        prepare(Path(home), SETS["kustomize"], facts(REGISTRY, NODES))
        return isolated([sys.executable, "-m", "live.nested", home], Path(home))


if __name__ == "__main__":
    sys.exit(main())
