"""The generated service as a real process, observed from outside."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class ServiceProcess:
    """`node src/server.ts`, or another program that logs where it listens, on free ports.

    Use it as a context manager: the process is ended by its id, whatever happens.
    """

    def __init__(
        self,
        command: list[str | Path],
        cwd: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env={
                **os.environ,
                "HOST": "127.0.0.1",
                "HTTP_PORT": "0",
                "METRICS_PORT": "0",
                "ENVIRONMENT": "local",
                **(environment or {}),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.logs: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self._ports: queue.Queue[tuple[str, int]] = queue.Queue()
        self._known: dict[str, int] = {}
        self._readers = [
            threading.Thread(target=self._read_logs, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read_logs(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with contextlib.suppress(json.JSONDecodeError):
                entry = json.loads(line)
                self.logs.append(entry)
                if entry.get("msg") == "listening":
                    self._ports.put((entry["listener"], entry["port"]))

    def _read_errors(self) -> None:
        assert self.process.stderr
        self.errors.extend(self.process.stderr)

    def port(self, listener: str = "http", timeout: float = 15) -> int:
        """Return the port of a listener, waiting up to `timeout` seconds for it."""
        end = time.monotonic() + timeout
        while listener not in self._known:
            try:
                name, port = self._ports.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                message = f"no {listener} listener after {timeout} s; it said: {self.errors}"
                raise TimeoutError(message) from None
            self._known[name] = port
        return self._known[listener]

    def get(self, path: str, listener: str = "http") -> tuple[int, str]:
        """Request a path; return status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port(listener), timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def metrics(self) -> dict[str, float]:
        """Scrape `/metrics`; return each series with its value."""
        status, text = self.get("/metrics", "metrics")
        assert status == 200, text
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#"]
        return {series: float(value) for series, value in lines}

    def wait_ready(self, timeout: float = 15) -> float:
        """Wait for `/readyz` to say 200; return the seconds since the process was started."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                if self.get("/readyz")[0] == 200:
                    return time.monotonic() - self.started
            time.sleep(0.005)
        raise TimeoutError(f"not ready after {timeout} s; it said: {self.errors}")

    def resident_bytes(self) -> int:
        """Return the resident memory of the process, as the kernel counts it."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def terminate(self) -> None:
        """Send SIGTERM, as the kubelet does."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout: float = 30) -> int:
        """Return the exit code once the process has ended and its output is read."""
        code = self.process.wait(timeout)
        for reader in self._readers:
            reader.join(timeout)
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()


@contextlib.contextmanager
def running(repository: Path, node: Path, **environment: str) -> Iterator[ServiceProcess]:
    """Run the default service of a repository whose dependencies are installed."""
    folder = repository / "services" / "orders"
    with ServiceProcess([node, "src/server.ts"], folder, environment) as service:
        service.wait_ready()
        yield service
