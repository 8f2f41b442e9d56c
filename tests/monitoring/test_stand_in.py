"""What `make dev` tells of a service in place of a cluster is what kube-state-metrics would tell."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml
from conftest import Tools
from support import TEMPLATE, run

from tools.cluster import ControlPlane, free_ports

pytestmark = pytest.mark.long

# One pod that waits after it ran out of memory, in the words of the stand-in and of Kubernetes.
STAND_IN = """
import { stateMetrics } from './monitoring/dev/cluster.js';
const workload = { team: 'web', container: 'service', memoryLimit: 268435456, cpuRequest: 0.1,
  minReplicas: 2, maxReplicas: 4 };
const pods = [{ name: 'orders-0', restarts: 3, waiting: 'CrashLoopBackOff', lastTerminated: 'OOMKilled' }];
process.stdout.write(stateMetrics({ service: 'orders', workload, pods, replicas: 3 }));
"""
RESOURCES = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "256Mi"}}
OBJECTS = [
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "orders", "namespace": "apps", "labels": {"team": "web"}},
        "spec": {"ports": [{"port": 80}]},
    },
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "orders-0",
            "namespace": "apps",
            "labels": {"app.kubernetes.io/name": "orders"},
        },
        "spec": {
            "nodeName": "local",
            "automountServiceAccountToken": False,
            "containers": [{"name": "service", "image": "local", "resources": RESOURCES}],
        },
    },
    {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "orders", "namespace": "apps"},
        "spec": {
            "minReplicas": 2,
            "maxReplicas": 4,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "orders"},
        },
    },
]
TERMINATED = {"exitCode": 137, "reason": "OOMKilled"}
CONTAINER = {
    "name": "service",
    "image": "local",
    "imageID": "local",
    "ready": False,
    "restartCount": 3,
    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
    "lastState": {"terminated": TERMINATED},
}
STATUS = {
    "pod": ("orders-0", {"phase": "Running", "containerStatuses": [CONTAINER]}),
    "hpa": ("orders", {"currentReplicas": 3, "desiredReplicas": 3}),
}
# What only a cluster gives out.
OF_THE_CLUSTER = {"uid", "cluster_ip"}


def samples(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Return the series of an exposition by their names."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for name, labels, value in re.findall(r"^(\w+)\{(.*)\} (\S+)$", text, re.M):
        pairs = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        found.setdefault(name, []).append((pairs, float(value)))
    return found


def test_the_stand_in_says_what_kube_state_metrics_says(ready_repo: Path, tools: Tools) -> None:
    program = tools.folder("node", "kubectl", "etcd", "kube-apiserver", "kube-state-metrics")
    path = TEMPLATE / "deploy/platform/kube-prometheus-stack/values.yaml"
    text = re.sub(r"^#%.*\n", "", path.read_text(encoding="utf-8"), flags=re.M)
    values = yaml.safe_load(text)["kube-prometheus-stack"]["kube-state-metrics"]
    port, telemetry = free_ports(2)
    with ControlPlane() as plane:
        plane.kubectl("create", "namespace", "apps")
        plane.settle("apps")
        for each in OBJECTS:
            plane.kubectl("create", "--filename=-", stdin=json.dumps(each))
        for kind, (name, status) in STATUS.items():
            patch = json.dumps({"status": status})
            plane.kubectl(
                *("patch", kind, name, "-n", "apps", "--subresource=status", "--type=merge"),
                f"--patch={patch}",
            )
        plane.start(
            "kube-state-metrics",
            [
                str(program / "kube-state-metrics"),
                f"--kubeconfig={plane.kubeconfig}",
                "--resources=pods,services,horizontalpodautoscalers",
                f"--metric-labels-allowlist={','.join(values['metricLabelsAllowlist'])}",
                *("--host=127.0.0.1", f"--port={port}"),
                *("--telemetry-host=127.0.0.1", f"--telemetry-port={telemetry}"),
            ],
        )
        real = scrape(f"http://127.0.0.1:{port}/metrics", plane)

    said = run("node", "--input-type=module", "-e", STAND_IN, cwd=ready_repo, path=program).stdout
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", said, re.M))
    assert types.items() <= dict(re.findall(r"^# TYPE (\w+) (\w+)$", real, re.M)).items()
    theirs = samples(real)
    for name, series in samples(said).items():
        for labels, value in series:
            known = {key: label for key, label in labels.items() if key not in OF_THE_CLUSTER}
            same = [
                other
                for other in theirs[name]
                if known.items() <= other[0].items() and other[1] == value
            ]
            assert same, f"{name}{known} {value}; kube-state-metrics has {theirs[name]}"
            assert labels.keys() <= same[0][0].keys(), (
                f"{name}: {labels.keys() - same[0][0].keys()}"
            )


def scrape(url: str, plane: ControlPlane) -> str:
    """Return what kube-state-metrics says once it knows the pod."""
    end = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310
                text: str = response.read().decode()
            if (
                "kube_pod_labels{" in text
                and "kube_service_labels{" in text
                and "kube_horizontal" in text
            ):
                return text
        except urllib.error.URLError:
            pass
        assert time.monotonic() < end, plane.log("kube-state-metrics")
        time.sleep(0.2)
