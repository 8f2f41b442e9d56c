"""Argo CD as plain processes beside a real API server, in a network namespace of their own."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tools import fetch, schemas
from tools.cluster import ControlPlane

# The directory of git repositories is served under this address, inside the network namespace.
GIT_PORT, REDIS_PORT, REPO_SERVER_PORT = 9418, 6379, 8081
# Its settings are read from objects that must be there, with this label.
LABELS = {"app.kubernetes.io/part-of": "argocd"}
CONFIG_MAPS = (
    "argocd-cm",
    "argocd-cmd-params-cm",
    "argocd-gpg-keys-cm",
    "argocd-rbac-cm",
    "argocd-ssh-known-hosts-cm",
    "argocd-tls-certs-cm",
)


class ArgoCD:
    """Argo CD's repo-server and its two controllers, for a folder of git repositories.

    Use it as a context manager, as root: it makes a network namespace in which everything listens,
    and removes it with all processes. `settings` is the data of the ConfigMap argocd-cm.
    Repositories below `git` are at git://127.0.0.1/NAME. With `cluster`, it works for that one,
    which runs already in a network namespace that nothing else uses.
    """

    def __init__(
        self,
        git: Path,
        settings: dict[str, str] | None = None,
        cluster: ControlPlane | None = None,
    ) -> None:
        self.git = git
        self.settings = settings or {}
        self._network = "" if cluster else f"slipway-{secrets.token_hex(4)}"
        self._stack = contextlib.ExitStack()
        # There is no route from which it could guess an address; nobody uses this one.
        self.cluster = cluster or ControlPlane(
            "--advertise-address=192.0.2.1", namespace=self._network
        )

    def applications(self) -> dict[str, Any]:
        """Return all Applications by name."""
        items = self.cluster.get("applications.argoproj.io", "--namespace=argocd")["items"]
        return {entry["metadata"]["name"]: entry for entry in items}

    def refresh(self) -> None:
        """Let Argo CD look at git now, as GitHub's webhook would."""
        kinds = "applications.argoproj.io,applicationsets.argoproj.io"
        for name, value in (("refresh", "hard"), ("application-set-refresh", "true")):
            self.cluster.kubectl(
                *("annotate", kinds, "--all", "--overwrite", "--namespace=argocd"),
                f"argocd.argoproj.io/{name}={value}",
            )

    def report_for_charts(self) -> None:
        """Report what the controllers of charts would, as charts and their images are out of reach.

        Raises:
            ClusterError: the API server refused it.
        """
        condition = {"conditions": [{"type": "Ready", "status": "True", "reason": "Test"}]}
        reports: dict[str, Any] = {
            "externalsecrets.external-secrets.io": condition,
            "clustersecretstores.external-secrets.io": condition,
            "imagevalidatingpolicies.policies.kyverno.io": {"conditionStatus": {"ready": True}},
        }
        for kind, status in reports.items():
            for entry in self.cluster.get(kind, "--all-namespaces")["items"]:
                namespace = entry["metadata"].get("namespace", "default")
                self.cluster.kubectl(
                    *("patch", kind, entry["metadata"]["name"], f"--namespace={namespace}"),
                    *("--subresource=status", "--type=merge"),
                    f"--patch={json.dumps({'status': status})}",
                )

    def wait(self, what: str, timeout: float, condition: Any) -> None:  # noqa: ANN401
        """Wait until a function says true.

        Raises:
            TimeoutError: it did not in time; the message ends with what the programs have written.
        """
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                logs = "\n".join(
                    f"{name}: {self.cluster.log(name)[-1500:]}"
                    for name in self.cluster.processes
                    if name.startswith("argocd")
                )
                raise TimeoutError(f"not after {timeout} s: {what}\n{logs}")
            time.sleep(0.5)

    def _run(self, *command: str) -> None:
        subprocess.run(command, check=True, capture_output=True)

    def _object(self, kind: str, name: str, data: dict[str, str]) -> dict[str, Any]:
        metadata = {"name": name, "namespace": "argocd", "labels": LABELS}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": data}

    def _install(self) -> None:
        """Make what Argo CD needs in the cluster, and the kinds of the platform."""
        # All at once, as each call costs half a second.
        files = [f"--filename={file}" for file in schemas.crds()]
        self.cluster.kubectl("apply", "--server-side", *files, timeout=180)
        kinds = [f"crd/{name}.argoproj.io" for name in ("applications", "applicationsets")]
        self.cluster.kubectl("wait", *kinds, "--for=condition=Established", "--timeout=50s")
        self.cluster.kubectl("create", "namespace", "argocd")
        held = [self._object("ConfigMap", name, {}) for name in CONFIG_MAPS]
        held[0]["data"] = self.settings
        secret = self._object("Secret", "argocd-secret", {})
        secret["stringData"] = {"server.secretkey": secrets.token_hex(16)}
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [*held, secret]})
        self.cluster.kubectl("apply", "--server-side", "--filename=-", stdin=text)

    def _start(self, name: str, *flags: str) -> None:
        path = f"{self._wrappers}:{self._tools}:{os.environ['PATH']}"
        self.cluster.start(
            name,
            [str(fetch.program("argocd")), *flags],
            {
                "ARGOCD_BINARY_NAME": name,
                # The cluster that it runs in is the one of the kubeconfig.
                "ARGOCD_FAKE_IN_CLUSTER": "true",
                "KUBECONFIG": str(self.cluster.kubeconfig),
                "PATH": path,
                "HOME": str(self._home),
                "TMPDIR": str(self._home),
                "ARGOCD_GPG_ENABLED": "false",
            },
        )

    def __enter__(self) -> Self:
        try:
            self._enter()
        except BaseException:
            self._stack.close()
            raise
        return self

    def _enter(self) -> None:
        if self._network:
            self._run("ip", "netns", "add", self._network)
            self._stack.callback(self._run, "ip", "netns", "delete", self._network)
            self._run("ip", "-n", self._network, "link", "set", "lo", "up")
            self._stack.enter_context(self.cluster)
        self._home = self.cluster.kubeconfig.parent / "home"
        self._home.mkdir()
        self._tools = fetch.commands(("helm", "kustomize"))
        # It calls two scripts of its image, which its module holds without the right to run them.
        self._wrappers = self._home / "wrappers"
        self._wrappers.mkdir()
        version = f"v{fetch.TOOLS['argocd'].version}"
        module = fetch.go_module(
            "github.com/argoproj/argo-cd/v3", version, "getting Argo CD's scripts"
        )
        for script in ("git-verify-wrapper.sh", "gpg-wrapper.sh"):
            (self._wrappers / script).write_bytes((module / "hack" / script).read_bytes())
            (self._wrappers / script).chmod(0o755)
        self._install()
        start = self.cluster.start
        redis = str(shutil.which("redis-server"))
        start("redis", [redis, "--bind", "127.0.0.1", "--port", str(REDIS_PORT), "--save", ""])
        start(
            "git",
            ["git", "daemon", "--listen=127.0.0.1", f"--port={GIT_PORT}", "--export-all"]
            + [f"--base-path={self.git}", str(self.git)],
        )
        redis_address, repo_server = f"127.0.0.1:{REDIS_PORT}", f"127.0.0.1:{REPO_SERVER_PORT}"
        self._start(
            "argocd-repo-server",
            *("--address=127.0.0.1", f"--port={REPO_SERVER_PORT}", "--metrics-address=127.0.0.1"),
            *(f"--redis={redis_address}", "--disable-tls", "--client-ca-path="),
        )
        common = (f"--kubeconfig={self.cluster.kubeconfig}", "--namespace=argocd")
        self._start(
            "argocd-applicationset-controller",
            *(*common, f"--argocd-repo-server={repo_server}", "--repo-server-plaintext"),
            *("--metrics-addr=127.0.0.1:8086", "--probe-addr=127.0.0.1:8087"),
            "--webhook-addr=127.0.0.1:7000",
        )
        self._start(
            "argocd-application-controller",
            *(*common, f"--repo-server={repo_server}", "--repo-server-plaintext"),
            *(f"--redis={redis_address}", "--app-resync=10", "--app-resync-jitter=0"),
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
