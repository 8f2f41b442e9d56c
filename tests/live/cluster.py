"""A real cluster of one node: no Docker, no image from elsewhere, no network but its own.

It runs where `isolated` has put this process: in namespaces of its own for processes, mounts and the
network. So nothing outside can be touched, and all of it goes with the first process of them.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from deploy.test_network import Actor

from tools import fetch
from tools.cluster import ControlPlane

T = TypeVar("T")

HERE = Path(__file__).parent
# Of the actors in tests/deploy/test_network.py: a node, and what lies outside of the cluster.
NODE, OUTSIDE = "10.0.48.1", "10.0.48.2"
LOAD_BALANCER, SOMEBODY = "10.0.240.7", "203.0.113.7"
POD_IDENTITY, METADATA = "169.254.170.23", "169.254.169.254"
# Who takes messages.
RECEIVER = "203.0.113.8"
POD_NETWORK, SERVICE_NETWORK = "10.245.0.0/16", "10.96.0.0/16"
REGISTRY = "127.0.0.1:5000"
# Debian's LLVM, with which Cilium compiles its programs for the kernel.
LLVM = Path("/usr/lib/llvm-19/bin")
# What every run needs, and what only a cluster of our own does.
BASIC = {"buildah": "buildah", "redis-server": "redis-server"}
PACKAGES = {
    **BASIC,
    "ip": "iproute2",
    "nft": "nftables",
    "bpftool": "bpftool",
    "pkg-config": "pkg-config",
}
# What the kubelet's control groups are below, so that they can be removed.
CGROUP = f"slipway-live-{uuid.uuid4().hex[:8]}"
INSIDE = "SLIPWAY_LIVE"


class LiveError(Exception):
    """Something did not come true; the message says what."""


def why_not(given: bool = False) -> str:
    """Return in one line why there can be no such cluster here, or nothing.

    `given`: there is a cluster already, and it can only be the rest.
    """
    if sys.platform != "linux":
        return f"it needs Linux, and this is {platform.system()}"
    if os.geteuid() != 0:
        return "it needs root, for namespaces, mounts and control groups"
    packages = BASIC if given else PACKAGES
    missing = [package for name, package in packages.items() if shutil.which(name) is None]
    if not given:
        missing += [] if (LLVM / "clang").is_file() else ["clang-19 llvm-19"]
        missing += [] if Path("/usr/include/seccomp.h").is_file() else ["libseccomp-dev"]
    if missing:
        return "apt-get install --no-install-recommends " + " ".join(missing)
    return ""


def isolated(command: list[str], home: Path, network: bool = True) -> int:
    """Run a command as the first process of namespaces of its own, and clean up after it.

    It has a folder for temporary files that the caller removes. Without `network` it shares ours.
    """
    environment = {**os.environ, INSIDE: CGROUP, "TMPDIR": str(home)}
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    unshare += ["--net"] if network else []
    # Should this process be killed, they end too.
    process = subprocess.Popen(["setpriv", "--pdeathsig=KILL", *unshare, *command], env=environment)

    def over(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, over)
    try:
        return process.wait()
    except KeyboardInterrupt:
        # What the command collects then is worth a while, and what it removes elsewhere a longer one.
        for child in children(process.pid):
            os.kill(child, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(20 if network else 180)
        return 130
    finally:
        process.kill()
        process.wait()
        remove_cgroups(CGROUP)


def children(pid: int) -> list[int]:
    """Return what a process has started and has not ended."""
    with contextlib.suppress(OSError):
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
        return [int(child) for child in listed.split()]
    return []


def cgroups(name: str) -> list[Path]:
    """Return the folders of a control group, one for each controller that has it."""
    return [path for path in Path("/sys/fs/cgroup").glob(f"**/{name}") if path.is_dir()]


def remove_cgroups(name: str) -> None:
    """Remove a control group with all below it; their processes have just ended."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        folders = [
            each for top in cgroups(name) for each in (top, *top.glob("**/")) if each.is_dir()
        ]
        if not folders:
            return
        for folder in sorted(folders, key=lambda path: -len(path.parts)):
            with contextlib.suppress(OSError):
                folder.rmdir()
        time.sleep(0.1)


def sh(*command: str | Path, environment: Mapping[str, str] = {}) -> str:
    """Run a command and return its output.

    Raises:
        LiveError: it failed.
    """
    result = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        shown = " ".join(str(part) for part in command)
        raise LiveError(f"{shown}\n{result.stdout[-3000:]}{result.stderr[-3000:]}")
    return result.stdout


def succeeds(*command: str | Path) -> bool:
    """Say whether a command ends with success."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def until(what: str, probe: Callable[[], T | None], seconds: float = 120) -> T:
    """Wait until a probe returns something, and return that.

    Raises:
        LiveError: it did not in time.
    """
    end = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > end:
            raise LiveError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.2)


def build_probe(target: Path) -> None:
    """Build the one program of our own; in namespaces without a network too, as it needs nothing."""
    fetch.go(["build", "-C", str(HERE / "probe"), "-o", str(target), "."], "building the probe")


def push_probe(probe: Path, registry: str) -> str:
    """Put the one image that is not of the repository into a registry; return its name."""
    crane = str(fetch.program("crane"))
    image = f"{registry}/acme-shop/probe:1"
    layer = probe.with_suffix(".tar")
    with tarfile.open(layer, "w") as tar:
        entry = tarfile.TarInfo("probe")
        entry.mode, entry.size = 0o755, probe.stat().st_size
        tar.addfile(entry, io.BytesIO(probe.read_bytes()))

    def push() -> str:
        with contextlib.suppress(LiveError):
            return sh(crane, "append", f"--new_layer={layer}", f"--new_tag={image}")
        return ""

    until(f"the registry {registry} answers", push, 20)
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    options = ("--entrypoint=/probe", f"--set-platform=linux/{machine}", "--user=65532")
    sh(crane, "mutate", *options, f"--tag={image}", image)
    return f"{registry}/acme-shop/probe@{sh(crane, 'digest', image).strip()}"


def make_private() -> None:
    """Give this mount namespace what the programs write to outside of their folders."""
    sh("mount", "--make-rprivate", "/")
    # containerd hands mounts on to pods.
    sh("mount", "--make-rshared", "/")
    # Sockets, network namespaces and Cilium's state are here.
    sh("mount", "-t", "tmpfs", "tmpfs", "/run")
    sh("mount", "-t", "bpf", "bpf", "/sys/fs/bpf")
    sh("ip", "link", "set", "lo", "up")


def own_cgroup() -> str:
    """Return the control group that `isolated` will remove."""
    return os.environ[INSIDE]


def listed(*objects: Mapping[str, Any]) -> str:
    """Return objects as a text for kubectl."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})


def start_metrics(plane: ControlPlane, address: str, certificates: Path, *flags: str) -> None:
    """Start metrics-server at an address that the API server reaches."""
    config = plane.kubeconfig
    plane.start(
        "metrics-server",
        [
            *(str(fetch.program("metrics-server")), f"--kubeconfig={config}"),
            *(f"--authentication-kubeconfig={config}", f"--authorization-kubeconfig={config}"),
            "--authentication-tolerate-lookup-failure",
            *("--kubelet-insecure-tls", "--kubelet-preferred-address-types=InternalIP"),
            *(f"--bind-address={address}", "--secure-port=4443", "--metric-resolution=15s"),
            f"--cert-dir={certificates}",
            *flags,
        ],
    )
    name = {"name": "metrics-server", "namespace": "kube-system"}
    port = {"name": "https", "port": 443}
    rules = [
        {"apiGroups": ["metrics.k8s.io"], "resources": ["*"], "verbs": ["*"]},
        # By this the API server finds out whether it is there.
        {"nonResourceURLs": ["/apis/metrics.k8s.io/*"], "verbs": ["get"]},
    ]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "metrics"}
    # The API server asks without a certificate; who asked the API server, it has judged itself.
    nobody = {"apiGroup": role["apiGroup"], "kind": "User", "name": "system:anonymous"}
    objects: list[Any] = [
        {"apiVersion": "v1", "kind": "Service", "metadata": name, "spec": {"ports": [port]}},
        {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": name,
            "subsets": [{"addresses": [{"ip": address}], "ports": [{**port, "port": 4443}]}],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {
                **{"group": "metrics.k8s.io", "version": "v1beta1", "service": name},
                **{"groupPriorityMinimum": 100, "versionPriority": 100},
                "insecureSkipTLSVerify": True,
            },
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "metrics"},
            "rules": rules,
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "metrics"},
            "roleRef": role,
            "subjects": [nobody],
        },
    ]
    plane.kubectl("apply", "--server-side", "--filename=-", stdin=listed(*objects))
    plane.kubectl("wait", "apiservice/v1beta1.metrics.k8s.io", "--for=condition=Available")


class Base(ControlPlane):
    """What the steps ask of a cluster, whether it is our own or a given one."""

    def __init__(self, home: Path, *flags: str, address: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(*flags, address=address, port=port)
        self.home = home
        self.seconds: dict[str, float] = {}
        self.probe_image = ""
        # Where a release goes, and pods come from.
        self.registry = REGISTRY
        # The place of a load balancer, where there is one outside of all pods.
        self.outside = ""
        # Whether it is somebody else's.
        self.given = False

    def actors(self, every: Mapping[str, Actor]) -> dict[str, Actor]:
        """Return those of the analyser's table that can be here."""
        raise NotImplementedError

    def place(self, pod: Mapping[str, Any]) -> str:
        """Return what `connect` knows the network of a pod by."""
        raise NotImplementedError

    def connect(self, place: str, addresses: list[str]) -> dict[str, bool]:
        """Say which PROTOCOL:HOST:PORT answer from a place."""
        raise NotImplementedError

    def load(self, url: str, connections: int = 8) -> contextlib.AbstractContextManager[Any]:
        """Send requests as a load balancer would; the report is complete after the block."""
        raise NotImplementedError

    def _timed(self, what: str, start: Callable[[], None]) -> None:
        started = time.monotonic()
        start()
        self.seconds[what] = time.monotonic() - started

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects, as their owner."""
        self.kubectl("apply", "--server-side", "--filename=-", stdin=listed(*objects))

    def keep(self, folder: Path) -> None:
        """Write what there is to know about a failure into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for file in [*self._folder.glob("*.log"), *self.home.glob("*.log")]:
            shutil.copyfile(file, folder / file.name)
        queries = {
            "events.txt": ("get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"),
            "describe-pods.txt": ("describe", "pods", "--all-namespaces"),
            "describe-nodes.txt": ("describe", "nodes"),
            "objects.txt": (
                "get",
                "all,applications,networkpolicies",
                "--all-namespaces",
                "-o",
                "wide",
            ),
            "applications.yaml": ("get", "applications", "--all-namespaces", "-o", "yaml"),
        }
        for name, arguments in queries.items():
            with contextlib.suppress(subprocess.TimeoutExpired):
                result = self.kubectl(*arguments, check=False)
                (folder / name).write_text(result.stdout + result.stderr, encoding="utf-8")


class Cluster(Base):
    """The cluster; use it as a context manager, inside of `isolated`.

    `home` is a folder for all that it writes. Beside the node there is one more network namespace,
    the outside: a load balancer, some host on the Internet, and the addresses at which AWS serves a
    node's metadata.
    """

    def __init__(self, home: Path) -> None:
        super().__init__(
            home,
            "--endpoint-reconciler-type=lease",
            "--kubelet-preferred-address-types=InternalIP",
            address=NODE,
            # As on EKS: policies let pods reach the API server by its port, behind its Service.
            port=443,
        )

    def _start_all(self) -> None:
        """Start everything, in the order in which each needs the other."""
        self._programs = fetch.commands(("containerd", "containerd-shim-runc-v2", "runc", "ctr"))
        self._timed("network", self._make_network)
        self._timed("API server and etcd", super()._start_all)
        self._timed("registry", self._start_registry)
        self._timed("controllers", self._start_controllers)
        self._timed("containerd", self._start_containerd)
        self._timed("kubelet", self._start_kubelet)
        self._timed("Cilium, node ready", self._start_network)
        self._timed("metrics-server", self._start_metrics)

    def _make_network(self) -> None:
        make_private()
        self.probe = self.home / "probe"
        build_probe(self.probe)
        ports = [f"tcp:{SOMEBODY}:{port}" for port in (22, 80, 443, 587, 5432)]
        ports += [f"tcp:{address}:80" for address in (POD_IDENTITY, METADATA)]
        outside = subprocess.Popen(["unshare", "--net", str(self.probe), "pause"])
        self._stack.callback(outside.kill)
        self.outside = str(outside.pid)
        ours, theirs = (Path(f"/proc/{pid}/ns/net") for pid in ("self", self.outside))
        until("a network namespace", lambda: ours.readlink() != theirs.readlink(), 10)
        sh("ip", "link", "add", "node0", "type", "veth", "peer", "name", "out0")
        sh("ip", "link", "set", "out0", "netns", self.outside)
        sh("ip", "addr", "add", f"{NODE}/24", "dev", "node0")
        sh("ip", "link", "set", "node0", "up")
        sh("ip", "route", "add", "default", "via", OUTSIDE)
        there = ("nsenter", f"--net=/proc/{self.outside}/ns/net")
        sh(*there, "ip", "link", "set", "lo", "up")
        sh(*there, "ip", "addr", "add", f"{OUTSIDE}/24", "dev", "out0")
        sh(*there, "ip", "link", "set", "out0", "up")
        for address in (LOAD_BALANCER, SOMEBODY, RECEIVER, POD_IDENTITY, METADATA):
            sh(*there, "ip", "addr", "add", f"{address}/32", "dev", "lo")
        sh(*there, "ip", "route", "add", "default", "via", NODE, "src", LOAD_BALANCER)
        server = subprocess.Popen([*there, str(self.probe), "serve", *ports])
        self._stack.callback(server.kill)
        # What listens on a node beside the kubelet: SSH, and node-exporter.
        on_node = subprocess.Popen([str(self.probe), "serve", "tcp:22", "tcp:9100"])
        self._stack.callback(on_node.kill)
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="utf-8")

    def _start_registry(self) -> None:
        """Serve a registry, and put into it the one image that is not of the repository."""
        crane = str(fetch.program("crane"))
        self.start("registry", [crane, "registry", "serve", f"--address={REGISTRY}"])
        self.probe_image = push_probe(self.probe, REGISTRY)

    def _start_controllers(self) -> None:
        common: dict[str, str | Path] = {
            "kubeconfig": self.kubeconfig,
            "leader-elect": "false",
            "bind-address": "127.0.0.1",
        }
        self._start(
            "kube-controller-manager",
            common
            | {
                "service-account-private-key-file": self.key,
                "root-ca-file": self.certificate,
                "allocate-node-cidrs": "true",
                "cluster-cidr": POD_NETWORK,
                "service-cluster-ip-range": SERVICE_NETWORK,
            },
        )
        self._start("kube-scheduler", common)

    def _start_containerd(self) -> None:
        home, nets = self.home / "containerd", self.home / "cni"
        nets.mkdir(parents=True)
        plugin = {"type": "cilium-cni", "log-file": str(self.home / "cilium-cni.log")}
        (nets / "10-cilium.conflist").write_text(
            json.dumps({"cniVersion": "1.0.0", "name": "cilium", "plugins": [plugin]}), "utf-8"
        )
        cni = fetch.program("cilium-cni").parent
        config = f"""
version = 3
root = "{home}/root"
state = "/run/containerd-state"
[grpc]
address = "/run/containerd/containerd.sock"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{self.probe_image}"
[plugins."io.containerd.cri.v1.runtime"]
# It may not make a process harder to kill than itself.
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{cni}"]
conf_dir = "{nets}"
use_internal_loopback = true
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
SystemdCgroup = false
BinaryName = "{fetch.program("runc")}"
"""
        home.mkdir()
        (home / "config.toml").write_text(config, encoding="utf-8")
        path = {"PATH": f"{self._programs}:{os.environ['PATH']}"}
        command = [str(self._programs / "containerd"), f"--config={home / 'config.toml'}"]
        self.start("containerd", command, path)
        # Where the kubelet's own measuring looks for it too.
        until("containerd listens", Path("/run/containerd/containerd.sock").exists, 30)

    def _start_kubelet(self) -> None:
        for controller in Path("/sys/fs/cgroup").iterdir():
            if controller.is_dir() and not controller.is_symlink():
                (controller / own_cgroup()).mkdir(exist_ok=True)
        config = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": NODE,
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{own_cgroup()}",
            "enforceNodeAllocatable": [],
            "failCgroupV1": False,
            "failSwapOn": False,
            "resolvConf": "",
            # A disk that is nearly full is not this node's business.
            "evictionHard": {"memory.available": "100Mi"},
            "imageGCHighThresholdPercent": 100,
            "nodeStatusUpdateFrequency": "2s",
            "syncFrequency": "10s",
        }
        file = self.home / "kubelet.json"
        file.write_text(json.dumps(config), encoding="utf-8")
        self._start(
            "kubelet",
            {
                "config": file,
                "kubeconfig": self.kubeconfig,
                "root-dir": self.home / "kubelet",
                "cert-dir": self.home / "kubelet-certificates",
                "node-ip": NODE,
                "hostname-override": "node",
                "node-labels": "topology.kubernetes.io/zone=zone-a",
            },
        )
        until("the node is registered", lambda: self.get("nodes")["items"], 60)

    def _start_network(self) -> None:
        """Start kube-proxy, and Cilium, which makes the node ready."""
        proxy = self.home / "kube-proxy.json"
        nothing = {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        }
        config = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(self.kubeconfig)},
            "hostnameOverride": "node",
            "mode": "nftables",
            # No network is local, so none is masqueraded: policies see who asks.
            "detectLocalMode": "ClusterCIDR",
            "conntrack": nothing,
        }
        proxy.write_text(json.dumps(config), encoding="utf-8")
        self._start("kube-proxy", {"config": proxy})
        version = f"v{fetch.TOOLS['cilium-agent'].version}"
        module = fetch.go_module(
            "github.com/cilium/cilium", version, "getting Cilium's BPF programs"
        )
        library = self.home / "cilium"
        library.mkdir()
        shutil.copytree(module / "bpf", library / "bpf", copy_function=shutil.copyfile)
        node = {"K8S_NODE_NAME": "node", "PATH": f"{LLVM}:{os.environ['PATH']}"}
        common = [f"--k8s-kubeconfig-path={self.kubeconfig}"]
        self.start(
            "cilium-operator",
            [
                str(fetch.program("cilium-operator")),
                *common,
                "--operator-api-serve-addr=127.0.0.1:9234",
            ]
            + [
                "--ipam=kubernetes",
                "--identity-allocation-mode=crd",
                "--leader-election-lease-duration=15s",
            ],
            node,
        )
        crd = "ciliumidentities.cilium.io"
        until(
            "Cilium's kinds",
            lambda: self.kubectl("get", "crd", crd, check=False).returncode == 0,
            60,
        )
        self.start(
            "cilium-agent",
            [
                *(str(fetch.program("cilium-agent")), *common),
                *(f"--lib-dir={library}", "--state-dir=/run/cilium", "--bpf-root=/sys/fs/bpf"),
                *("--ipam=kubernetes", "--routing-mode=native", "--devices=node0"),
                *(f"--ipv4-native-routing-cidr={POD_NETWORK}", "--enable-ipv6=false"),
                *("--enable-ipv4-masquerade=false", "--kube-proxy-replacement=false"),
                *(
                    "--enable-l7-proxy=false",
                    "--enable-hubble=false",
                    "--enable-health-checking=false",
                ),
                *("--enable-endpoint-health-checking=false", "--identity-allocation-mode=crd"),
                # A rule for an address counts for the node's too, as it does on EKS.
                "--policy-cidr-match-mode=nodes",
            ],
            node,
        )
        status = (fetch.program("cilium-dbg"), "status", "--brief")
        until("Cilium is ready", lambda: succeeds(*status), 120)
        self.kubectl("wait", "--for=condition=Ready", "node/node", "--timeout=50s")

    def _start_metrics(self) -> None:
        """Start metrics-server on the node: without it no HorizontalPodAutoscaler is healthy."""
        start_metrics(self, NODE, self.home / "metrics-server")

    def actors(self, every: Mapping[str, Actor]) -> dict[str, Actor]:
        """Return all but those of charts that the repository has not, and of other kinds of nodes."""
        absent = ("Argo Rollouts", "the node's DNS")
        return {name: actor for name, actor in every.items() if name not in absent}

    def pid(self, pod: Mapping[str, Any]) -> int:
        """Return the id of a process of a pod, from the control group that it is in."""
        mark = f"pod{pod['metadata']['uid']}"
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if mark in (entry / "cgroup").read_text():
                        return int(entry.name)
        raise LiveError(f"{pod['metadata']['name']} has no process")

    def place(self, pod: Mapping[str, Any]) -> str:
        """Return the id of a process of a pod."""
        return str(self.pid(pod))

    def connect(self, place: str, addresses: list[str]) -> dict[str, bool]:
        """Say which PROTOCOL:HOST:PORT answer in the network namespace of a process."""
        there = ("nsenter", f"--net=/proc/{place}/ns/net", str(self.probe))
        answers: dict[str, bool] = json.loads(sh(*there, "connect", *addresses))
        return answers

    @contextlib.contextmanager
    def load(self, url: str, connections: int = 8) -> Iterator[dict[str, Any]]:
        """Send requests from the load balancer's network; the report is complete after the block."""
        report: dict[str, Any] = {}
        process = subprocess.Popen(
            ["nsenter", f"--net=/proc/{self.outside}/ns/net", str(self.probe), "load", url]
            + [str(connections)],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield report
        finally:
            process.terminate()
            report.update(json.loads(process.communicate(timeout=30)[0]))
