"""A real Kubernetes API server with its etcd, for what only an API server can judge."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tools import fetch

# Node is there anyway, and makes a key without another dependency.
MAKE_KEY = """
const { privateKey } = crypto.generateKeyPairSync("ec", { namedCurve: "P-256" });
process.stdout.write(privateKey.export({ type: "sec1", format: "pem" }));
"""


class ClusterError(Exception):
    """The control plane did not start, or kubectl failed; the message ends with the output."""


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback interface that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [int(listener.getsockname()[1]) for listener in listeners]


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and wait for its end; nothing of it is worth a graceful one."""
    process.kill()
    process.wait()


class ControlPlane:
    """etcd and kube-apiserver on free ports of the loopback interface.

    Use it as a context manager: both processes are ended by their ids, whatever happens. `flags`
    are more flags for kube-apiserver, which listens on `address` and `port`; 0 is any port.

    It has RBAC and the default admission plugins, so Pod Security and admission policies are at
    work; an admission policy or a CRD is so about a second after it was created. There is no
    controller, scheduler or kubelet: a Deployment makes no pods, a namespace gets no ServiceAccount
    `default`, without which every pod is refused, and a ResourceQuota no status, without which it
    limits nothing. `settle` does these two for a namespace.

    With `namespace`, the name of a network namespace, all of it runs in there, kubectl too.
    """

    def __init__(
        self, *flags: str, namespace: str = "", address: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.flags = flags
        self.address = address
        self._port = port
        # What every command begins with.
        self.prefix = ["ip", "netns", "exec", namespace] if namespace else []
        # How long the start took, in seconds.
        self.start_seconds = 0.0
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._token = secrets.token_hex(16)
        self._stack = contextlib.ExitStack()

    @property
    def kubeconfig(self) -> Path:
        """The credentials of a cluster administrator."""
        return self._folder / "kubeconfig"

    @property
    def certificate(self) -> Path:
        """The certificate of kube-apiserver, and of whoever signed it."""
        return self._folder / "certificates" / "apiserver.crt"

    @property
    def key(self) -> Path:
        """The key that signs the tokens of ServiceAccounts."""
        return self._folder / "key.pem"

    def kubectl(
        self,
        *arguments: str,
        stdin: str | None = None,
        check: bool = True,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as a cluster administrator; return its exit code and output.

        Raises:
            ClusterError: it failed, and `check` is true.
        """
        options = [f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self._folder / 'cache'}"]
        result = subprocess.run(
            [*self.prefix, self._kubectl, *options, *arguments],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and result.returncode != 0:
            raise ClusterError(f"kubectl {' '.join(arguments)}\n{result.stdout}{result.stderr}")
        return result

    def get(self, *arguments: str) -> Any:  # noqa: ANN401 - whatever the API answers
        """Return what `kubectl get` says, from its JSON."""
        return json.loads(self.kubectl("get", *arguments, "--output=json").stdout)

    def settle(self, namespace: str) -> None:
        """Do for a namespace what controllers would: its ServiceAccount, the status of quotas."""
        if self.kubectl("get", "sa", "default", "-n", namespace, check=False).returncode != 0:
            self.kubectl("create", "sa", "default", "-n", namespace)
        for quota in self.get("resourcequota", "-n", namespace)["items"]:
            hard = quota["spec"]["hard"]
            status = {"status": {"hard": hard, "used": dict.fromkeys(hard, "0")}}
            name = quota["metadata"]["name"]
            self.kubectl(
                *("patch", "resourcequota", name, "-n", namespace, "--subresource=status"),
                f"--patch={json.dumps(status)}",
            )

    def _start(self, name: str, flags: Mapping[str, str | Path], *more: str) -> None:
        """Start a program with its output in a file."""
        command = [str(fetch.program(name))] + [f"--{key}={value}" for key, value in flags.items()]
        self.start(name, [*command, *more])

    def start(self, name: str, command: list[str], environment: Mapping[str, str] = {}) -> None:
        """Start another program beside the API server; it ends with it, at the latest."""
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*self.prefix, *command],
                cwd=self._folder,
                env={**os.environ, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._stack.callback(end, process)
        self.processes[name] = process

    def enter(self, beside: contextlib.AbstractContextManager[object]) -> None:
        """Enter what shall be left before the API server ends."""
        self._stack.enter_context(beside)

    def log(self, name: str) -> str:
        """Return the end of what a program has written."""
        return (self._folder / f"{name}.log").read_text(errors="replace")[-3000:]

    def _ready(self) -> bool:
        """Say whether kube-apiserver is ready; it writes its certificate when it starts."""
        return (
            self.certificate.exists()
            and self.kubectl("get", "--raw=/readyz", check=False).returncode == 0
        )

    def _wait_ready(self, timeout: float) -> None:
        """Wait for kube-apiserver to be ready.

        Raises:
            ClusterError: it is not in time, or a process has ended.
        """
        started = time.monotonic()
        while not self._ready():
            ended = [name for name, process in self.processes.items() if process.poll() is not None]
            if ended or time.monotonic() - started > timeout:
                why = f"{' and '.join(ended)} ended" if ended else f"not ready after {timeout} s"
                logs = [f"{name}: {self.log(name)}" for name in ended or self.processes]
                raise ClusterError("\n".join([why, *logs]))
            time.sleep(0.05)
        self.start_seconds = time.monotonic() - started

    def _write_kubeconfig(self) -> None:
        """Write the administrator's credentials; JSON is YAML too."""
        server = f"https://{self.address}:{self._port}"
        cluster = {"server": server, "certificate-authority": str(self.certificate)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": self._token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        }
        self.kubeconfig.write_text(json.dumps(config), encoding="utf-8")

    def _start_all(self) -> None:
        """Start both programs and wait until they answer."""
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        client_port, peer_port, port = free_ports(3)
        self._port = self._port or port
        client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
        key, tokens = self.key, self._folder / "tokens.csv"
        tokens.write_text(f"{self._token},admin,admin,system:masters\n", encoding="utf-8")
        make_key = [str(fetch.program("node")), "-e", MAKE_KEY]
        key.write_bytes(subprocess.run(make_key, capture_output=True, check=True).stdout)
        self._kubectl = fetch.program("kubectl")
        self._start(
            "etcd",
            {
                "data-dir": self._folder / "etcd",
                "listen-client-urls": client,
                "advertise-client-urls": client,
                "listen-peer-urls": peer,
                "initial-advertise-peer-urls": peer,
                "initial-cluster": f"default={peer}",
                "unsafe-no-fsync": "true",
            },
        )
        self._start(
            "kube-apiserver",
            {
                "etcd-servers": client,
                "bind-address": self.address,
                "secure-port": str(self._port),
                # It refuses a loopback address for the endpoints of the service `kubernetes`.
                "endpoint-reconciler-type": "none",
                "cert-dir": self.certificate.parent,
                "token-auth-file": tokens,
                "anonymous-auth": "false",
                # As on EKS: Pod Security is what refuses privileged pods.
                "allow-privileged": "true",
                "authorization-mode": "RBAC",
                "service-account-issuer": "https://kubernetes.default.svc",
                "service-account-key-file": key,
                "service-account-signing-key-file": key,
                "service-cluster-ip-range": "10.96.0.0/16",
            },
            *self.flags,
        )
        self._write_kubeconfig()
        self._wait_ready(60)

    def __enter__(self) -> Self:
        try:
            self._start_all()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
