"""The API server for tests starts, judges as a real one does, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Tools

from tools import fetch, schemas
from tools.cluster import ClusterError, ControlPlane

pytestmark = pytest.mark.big


@pytest.fixture(scope="module")
def plane(tools: Tools) -> Iterator[ControlPlane]:
    tools.folder("node", "kubectl", "etcd", "kube-apiserver")
    with ControlPlane() as plane:
        yield plane


def alive(pid: int) -> bool:
    """Say whether a process of that id is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def pod(**security: object) -> str:
    """Return a pod with a container of that security context."""
    container = {"name": "app", "image": "registry.example/app", "securityContext": security}
    spec = {"containers": [container]}
    meta = {"generateName": "app-"}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})


RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def test_it_is_the_pinned_version(plane: ControlPlane) -> None:
    shown = json.loads(plane.kubectl("version", "--output=json").stdout)["serverVersion"]
    assert shown["gitVersion"] == f"v{fetch.TOOLS['kube-apiserver'].version}"
    assert shown["minor"] == shown["gitVersion"].split(".")[1]


def test_pod_security_and_quotas_are_at_work(plane: ControlPlane) -> None:
    plane.kubectl("create", "namespace", "guarded")
    plane.kubectl("label", "ns", "guarded", "pod-security.kubernetes.io/enforce=restricted")
    plane.kubectl("create", "quota", "pods", "-n", "guarded", "--hard=pods=1")
    plane.settle("guarded")
    create = ("create", "-n", "guarded", "-f", "-")
    with pytest.raises(ClusterError, match=r'violates PodSecurity "restricted'):
        plane.kubectl(*create, stdin=pod(privileged=True))
    plane.kubectl(*create, stdin=pod(**RESTRICTED))
    refused = plane.kubectl(*create, stdin=pod(**RESTRICTED), check=False)
    assert refused.returncode != 0 and "exceeded quota: pods" in refused.stderr


def test_it_takes_the_crds_with_their_own_rules(plane: ControlPlane) -> None:
    rules = [path for path in schemas.crds() if "argoproj" in path.read_text(encoding="utf-8")]
    assert rules
    plane.kubectl("apply", "--server-side", *[f"--filename={path}" for path in rules])
    plane.kubectl("wait", "--for=condition=established", "crd", "--all", "--timeout=30s")
    assert plane.get("applications.argoproj.io", "--all-namespaces")["items"] == []


def test_it_leaves_no_process_and_no_file(tools: Tools) -> None:
    tools.folder("node", "kubectl", "etcd", "kube-apiserver")
    with pytest.raises(RuntimeError, match="a test fails"), ControlPlane() as plane:
        pids = [process.pid for process in plane.processes.values()]
        folder = plane.kubeconfig.parent
        assert len(pids) == 2 and all(map(alive, pids)) and folder.is_dir()
        raise RuntimeError("a test fails")
    assert not any(map(alive, pids))
    assert not folder.exists()


def test_a_start_that_fails_says_why_and_leaves_nothing(
    tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools.folder("node", "kubectl", "etcd", "kube-apiserver")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    plane = ControlPlane("--no-such-flag=1")
    with pytest.raises(ClusterError, match=r"kube-apiserver ended(?s:.*)unknown flag: --no-such"):
        plane.__enter__()
    assert not any(alive(process.pid) for process in plane.processes.values())
    assert list(tmp_path.iterdir()) == []
