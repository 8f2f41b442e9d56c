"""A cluster that is there already (kind, k3d), by its KUBECONFIG.

What was there before is left alone: where a namespace or a definition of a kind that the steps make
exists, there is no run, and all that they made is removed at the end.
"""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import itertools
import json
import os
import socket
import tempfile
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.test_network import Actor
from live.cluster import Base, LiveError, build_probe, push_probe, sh, until

from tools import fetch, schemas

# Of our own pods, which are nobody's.
NAMESPACE = "slipway-live"
# Of the repository.
NAMESPACES = ("apps", "argocd", "argo-rollouts", "external-secrets", "kyverno", "monitoring")
KINDS = (
    "namespaces,customresourcedefinitions,"
    "validatingadmissionpolicies,validatingadmissionpolicybindings"
)
# Argo CD's parts, redis and git listen on these.
PORTS = (6379, 7000, 8081, 8082, 8084, 8086, 8087, 9418)
LOCAL_REGISTRY = "https://kind.sigs.k8s.io/docs/user/local-registry/"


def named() -> bool:
    """Say whether there is a cluster to be used."""
    return bool(os.environ.get("KUBECONFIG"))


def kubectl(*arguments: str) -> str:
    """Ask the given cluster, before anything is made."""
    return sh(fetch.program("kubectl"), *arguments, "--request-timeout=20s")


def is_local(address: str) -> bool:
    """Say whether an address of an API server is this machine's own."""
    host = urllib.parse.urlsplit(address).hostname or ""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def taken(port: int) -> bool:
    """Say whether somebody listens on a port here."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def why_not() -> str:
    """Return in one line why the cluster of KUBECONFIG is not to be used, or nothing."""
    try:
        config = json.loads(kubectl("config", "view", "--minify", "--output=json"))
    except LiveError as error:
        return f"KUBECONFIG: {str(error).splitlines()[-1]}"
    context, server = config["current-context"], config["clusters"][0]["cluster"]["server"]
    known = is_local(server) or context.startswith(("kind-", "k3d-"))
    if not known and os.environ.get("LIVE_CONTEXT") != context:
        return (
            f"the context {context} ({server}) may be somebody's cluster; LIVE_CONTEXT={context} "
            "says that it is meant, and `KUBECONFIG= make live` makes a cluster of its own"
        )
    if not os.environ.get("LIVE_REGISTRY"):
        return (
            "LIVE_REGISTRY must name a registry that this machine and the nodes reach by the same "
            f"HOST:PORT, as a digest can't be loaded into a node: {LOCAL_REGISTRY}"
        )
    busy = [str(port) for port in PORTS if taken(port)]
    if busy:
        return f"somebody listens on {', '.join(busy)} of 127.0.0.1, where Argo CD's parts would"
    try:
        there = kubectl("get", KINDS, "--output=name").split()
        there += kubectl("get", "configmaps", "--namespace=kube-system", "--output=name").split()
    except LiveError as error:
        return f"{context}: {str(error).splitlines()[-1]}"
    found = sorted(ours() & set(there))
    if found:
        return f"{context} has {', '.join(found[:3])} already, and what is there is left alone"
    return ""


def definitions() -> list[str]:
    """Return the names of the definitions of kinds that Argo CD and the platform bring."""
    texts = (file.read_bytes() for file in schemas.crds())
    return [schemas.Reader(text).get_single_data()["metadata"]["name"] for text in texts]


def ours() -> set[str]:
    """Return the names of what the steps make outside of namespaces, and beside others' objects."""
    names = {f"namespace/{name}" for name in (*NAMESPACES, NAMESPACE)}
    names |= {f"customresourcedefinition.apiextensions.k8s.io/{name}" for name in definitions()}
    names |= {
        f"{kind}.admissionregistration.k8s.io/workloads"
        for kind in ("validatingadmissionpolicy", "validatingadmissionpolicybinding")
    }
    return names | {"configmap/image-registry"}


def load_balancer() -> str:
    """Return the network of the nodes, from where the load comes."""
    (first, *_) = json.loads(kubectl("get", "nodes", "--output=json"))["items"]
    [address] = [
        each["address"] for each in first["status"]["addresses"] if each["type"] == "InternalIP"
    ]
    return str(ipaddress.ip_network(f"{address}/16", strict=False))


class Given(Base):
    """The cluster of KUBECONFIG; use it as a context manager, after `why_not`."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.registry = os.environ["LIVE_REGISTRY"]
        self.given = True
        self._number = itertools.count()

    def _start_all(self) -> None:
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._kubectl = fetch.program("kubectl")
        # The one context and nothing else, so that no later change of the file matters.
        config = kubectl("config", "view", "--minify", "--flatten", "--raw", "--output=json")
        self.kubeconfig.write_text(config, encoding="utf-8")
        self._stack.callback(self._remove)
        self._timed("API server", self._wait)
        self._timed("probe", self._push)

    def _wait(self) -> None:
        self.kubectl("get", "--raw=/readyz")
        self.kubectl("create", "namespace", NAMESPACE)

    def _push(self) -> None:
        probe = self.home / "probe"
        build_probe(probe)
        self.probe_image = push_probe(probe, self.registry)

    def _remove(self) -> None:
        """Remove all that the steps made; none of it was there before."""
        gone = ("--ignore-not-found", "--timeout=100s")
        # Argo CD has ended, which would see to what it has made; that is done here.
        for application in self._applications():
            self.kubectl(
                *("patch", "applications", application["metadata"]["name"], "--namespace=argocd"),
                *("--type=merge", '--patch={"metadata": {"finalizers": null}}'),
                check=False,
            )
        for kind, namespace, name in self._outside():
            at = f"--namespace={namespace}"
            self.kubectl("delete", kind, name, *gone, at, check=False, timeout=120)
        self.kubectl("delete", "namespace", NAMESPACE, *NAMESPACES, *gone, check=False, timeout=120)
        self.kubectl("delete", "crd", *definitions(), *gone, check=False, timeout=120)
        left = ours() & set(self.kubectl("get", KINDS, "--output=name").stdout.split())
        if left:
            raise LiveError(f"not removed: {', '.join(sorted(left))}")

    def _applications(self) -> list[Any]:
        found = self.kubectl("get", "applications", "-n=argocd", "--output=json", check=False)
        return list(json.loads(found.stdout)["items"]) if found.returncode == 0 else []

    def _outside(self) -> set[tuple[str, str, str]]:
        """Return what Argo CD has made outside of the namespaces of ours."""
        return {
            (
                f"{each['kind']}.{each.get('group', '')}".rstrip(".").lower(),
                each.get("namespace", ""),
                each["name"],
            )
            for application in self._applications()
            for each in application.get("status", {}).get("resources", [])
            if each.get("namespace") not in NAMESPACES and each["kind"] != "Namespace"
        }

    def actors(self, every: Mapping[str, Actor]) -> dict[str, Actor]:
        """Return the pods alone, none of them in a namespace that is somebody's."""
        pods = {
            name: dataclasses.replace(actor, namespace=NAMESPACE)
            if actor.namespace == "default"
            else actor
            for name, actor in every.items()
            # A pod with the labels of the cluster's DNS would be asked by everybody.
            if actor.namespace not in ("", "kube-system")
        }
        pods.pop("Argo Rollouts")
        return pods

    def place(self, pod: Mapping[str, Any]) -> str:
        """Return the name of a pod, with its namespace."""
        return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"

    def connect(self, place: str, addresses: list[str]) -> dict[str, bool]:
        """Say which PROTOCOL:HOST:PORT answer from a pod: by the probe in it, or one added to it."""
        namespace, name = place.split("/")
        at = f"--namespace={namespace}"
        asked = ("/probe", "connect", *addresses)
        labels = self.get("pod", name, at)["metadata"]["labels"]
        if labels.get("live") == "actor":
            said = self.kubectl("exec", name, at, "--", *asked).stdout
        else:
            container = f"live-{next(self._number)}"
            self.kubectl(
                *("debug", name, at, f"--image={self.probe_image}", f"--container={container}"),
                *("--profile=restricted", "--attach=false", "--", *asked),
            )
            said = until("the probe's answer", lambda: self._said(name, at, container), 60)
        answers: dict[str, bool] = json.loads(said)
        return answers

    def _said(self, name: str, at: str, container: str) -> str:
        found = self.get("pod", name, at)["status"].get("ephemeralContainerStatuses", [])
        over = any(each["name"] == container and "terminated" in each["state"] for each in found)
        return self.kubectl("logs", name, at, f"--container={container}").stdout if over else ""

    @contextlib.contextmanager
    def load(self, url: str, connections: int = 8) -> Iterator[dict[str, Any]]:
        """Send requests from a pod in the network of its node, as a load balancer is in no pod's."""
        report: dict[str, Any] = {}
        name, at = f"load-{next(self._number)}", f"--namespace={NAMESPACE}"
        container = {
            **{"name": "probe", "image": self.probe_image},
            "args": ["load", url, str(connections)],
        }
        spec = {"hostNetwork": True, "restartPolicy": "Never", "containers": [container]}
        metadata = {"name": name, "namespace": NAMESPACE}
        self.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        self.kubectl("wait", f"pod/{name}", at, "--for=condition=Ready", "--timeout=50s")
        try:
            yield report
        finally:
            # It writes its report when it is told to end.
            self.kubectl("exec", name, at, "--", "/probe", "end")
            over = ("wait", f"pod/{name}", at, "--for=jsonpath={.status.phase}=Succeeded")
            self.kubectl(*over, "--timeout=50s")
            report.update(json.loads(self.kubectl("logs", name, at).stdout))
            self.kubectl("delete", "pod", name, at, "--wait=false")
