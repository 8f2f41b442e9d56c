"""How long fifty services take to come by Argo CD, and what its parts use: `python -m live.scale`.

The API server, the controllers and Argo CD are real; kwok stands for the nodes and their pods.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from cookiecutter.main import cookiecutter
from live import cluster as node
from live.cluster import isolated, sh, until
from live.steps import SETS, bring_charts, facts, settings_of
from support import ROOT, run, with_facts

from tools import fetch
from tools.argocd import ArgoCD
from tools.cluster import ControlPlane

SERVICES, NODES = 50, 10
# There is no route from which the API server could guess an address; it reaches metrics-server by it.
ADDRESS = "192.0.2.1"
KWOK_PORT = 10247
IDENTITY = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
PARTS = (
    "argocd-application-controller",
    "argocd-applicationset-controller",
    "argocd-repo-server",
    "redis",
)
# What becomes of a node and of a pod, in kwok's words.
STAGES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    *(f"pod/fast/pod-{what}.yaml" for what in ("ready", "complete", "delete")),
)
# What they use: a little.
METRICS = ("usage/usage-from-annotation.yaml", "resource/metrics-resource.yaml")


def prepare(home: Path) -> None:
    """Generate a repository, and give it many services that are like the first one."""
    options = {
        "no_input": True,
        "extra_context": SETS["helm"],
        "output_dir": str(home / "generated"),
    }
    path = with_facts(Path(cookiecutter(str(ROOT), **options)), home / "git", facts())
    apps = path / "deploy/apps"
    first = {
        file.relative_to(apps / "orders"): file
        for file in (apps / "orders").rglob("*")
        if file.is_file()
    }
    for number in range(SERVICES):
        name = f"service-{number}"
        for inside, file in first.items():
            target = apps / name / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(file.read_text(encoding="utf-8").replace("orders", name), "utf-8")
    for release in apps.glob("*/overlays/*/release.yaml"):
        text = release.read_text(encoding="utf-8")
        release.write_text(text.replace("sha256:" + "0" * 64, "sha256:" + "a" * 64), "utf-8")
    run("git", "init", "--quiet", "--initial-branch=main", cwd=path)
    run("git", "add", "--all", cwd=path)
    run("git", *IDENTITY, "commit", "--quiet", "--message=Fifty services", cwd=path)


def nodes() -> str:
    """Return nodes that only kwok looks after."""
    capacity = {"cpu": "32", "memory": "128Gi", "pods": "110"}
    items = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": f"node-{number}",
                "annotations": {
                    "kwok.x-k8s.io/node": "fake",
                    # Where metrics-server asks.
                    "metrics.k8s.io/resource-metrics-path": (
                        f"/metrics/nodes/node-{number}/metrics/resource"
                    ),
                },
                "labels": {"topology.kubernetes.io/zone": f"zone-{number % 3}"},
            },
            "status": {"allocatable": capacity, "capacity": capacity},
        }
        for number in range(NODES)
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def start_controllers(plane: ControlPlane) -> None:
    """Start what makes pods of Deployments, and what stands for nodes."""
    common = [f"--kubeconfig={plane.kubeconfig}", "--leader-elect=false"]
    keys = [
        f"--service-account-private-key-file={plane.key}",
        f"--root-ca-file={plane.certificate}",
    ]
    plane.start(
        "controller-manager", [str(fetch.program("kube-controller-manager")), *common, *keys]
    )
    plane.start("scheduler", [str(fetch.program("kube-scheduler")), *common])
    module = fetch.go_module(
        "sigs.k8s.io/kwok", f"v{fetch.TOOLS['kwok'].version}", "getting what nodes and pods do"
    )
    options = [f"--config={module / 'kustomize/stage' / name}" for name in STAGES]
    options += [f"--config={module / 'kustomize/metrics' / name}" for name in METRICS]
    options += ["--manage-all-nodes=true", "--node-lease-duration-seconds=40"]
    options += [f"--node-ip={ADDRESS}", f"--node-port={KWOK_PORT}"]
    options += [f"--server-address={ADDRESS}:{KWOK_PORT}", f"--tls-cert-file={plane.certificate}"]
    options += [f"--tls-private-key-file={plane.certificate.with_suffix('.key')}"]
    plane.start("kwok", [str(fetch.program("kwok")), f"--kubeconfig={plane.kubeconfig}", *options])
    plane.kubectl("apply", "--filename=-", stdin=nodes())
    certificates = plane.kubeconfig.parent / "metrics-server"
    node.start_metrics(plane, ADDRESS, certificates, "--kubelet-use-node-status-port")


def memory(pid: int) -> int:
    """Return the most memory that a process has had resident, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) // 1024


def inside(home: Path) -> int:
    """Let Argo CD bring all services, and say how long that took."""
    sh("ip", "link", "set", "lo", "up")
    sh("ip", "addr", "add", f"{ADDRESS}/32", "dev", "lo")
    # There is no kube-proxy: the API server goes to the endpoints of a Service, not to its address.
    flags = (f"--advertise-address={ADDRESS}", "--enable-aggregator-routing=true")
    with ControlPlane(*flags) as plane:
        start_controllers(plane)
        with ArgoCD(home / "git", settings_of(home / "git/acme-shop"), plane) as argocd:
            started = time.monotonic()
            bring_charts(argocd, home / "git/acme-shop")

            def count(part: str, status: str) -> int:
                return sum(
                    entry.get("status", {}).get(part, {}).get("status") == status
                    for name, entry in argocd.applications().items()
                    if name.startswith("apps-")
                )

            def available() -> int:
                found = plane.get("deployments", "--namespace=apps")["items"]
                return sum(
                    entry["status"].get("availableReplicas", 0) == entry["spec"]["replicas"] == 2
                    for entry in found
                )

            figures = {}
            every = SERVICES + 1
            until("all are synced", lambda: count("sync", "Synced") == every, 900)
            figures[f"{every} services synced"] = time.monotonic() - started
            until("all have their pods", lambda: available() == every, 900)
            figures[f"{every} services have their pods"] = time.monotonic() - started
            until("all are healthy", lambda: count("health", "Healthy") == every, 900)
            figures[f"{every} services synced and healthy"] = time.monotonic() - started
            assert count("sync", "Synced") == every
            for name, value in figures.items():
                print(f"{value:7.1f} s    {name}")
            for part in PARTS:
                print(f"{memory(plane.processes[part].pid):7d} MiB  {part}")
    return 0


def main() -> int:
    """Prepare a repository, and bring its services in namespaces of their own."""
    if node.INSIDE in os.environ:
        return inside(Path(sys.argv[1]))
    why = node.why_not()
    if why:
        print(f"this cannot run here: {why}", file=sys.stderr)
        return 1
    fetch.commands((*fetch.EVERYDAY, *fetch.BIG, *fetch.LIVE))
    with tempfile.TemporaryDirectory(prefix="slipway-scale-") as home:
        prepare(Path(home))
        return isolated([sys.executable, "-m", "live.scale", home], Path(home))


if __name__ == "__main__":
    sys.exit(main())
