"""The generated service as a real process, observed from outside."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self


def read(file: IO[bytes]) -> str:
    """Return all that a process has written to its file, without moving the place of writing."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode()


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
        # Files, not pipes: nothing here has to read along while the process is measured.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
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
            stdout=self._output,
            stderr=self._errors,
        )
        self._ports: dict[str, int] = {}

    @property
    def logs(self) -> list[dict[str, Any]]:
        """The JSON lines that the process has written so far."""
        entries = []
        for line in read(self._output).splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                entries.append(json.loads(line))
        return entries

    @property
    def errors(self) -> str:
        """What the process has written to standard error so far."""
        return read(self._errors)

    def port(self, listener: str = "http", timeout: float = 15) -> int:
        """Return the port of a listener, waiting up to `timeout` seconds for it."""
        end = time.monotonic() + timeout
        while listener not in self._ports:
            if time.monotonic() > end or self.process.poll() is not None:
                raise TimeoutError(f"no {listener} listener; it said: {self.errors}{self.logs}")
            self._ports |= {
                entry["listener"]: entry["port"]
                for entry in self.logs
                if entry.get("msg") == "listening"
            }
            time.sleep(0.002)
        return self._ports[listener]

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
        status = Path(f"/proc/{self.process.pid}/status")
        if status.exists():
            # Linux: a slim installation has no ps.
            size = re.search(r"^VmRSS:\s*(\d+) kB$", status.read_text(encoding="utf-8"), re.M)
            assert size, status
            return int(size[1]) * 1024
        command = ["ps", "-o", "rss=", "-p", str(self.process.pid)]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(result.stdout) * 1024

    def terminate(self) -> None:
        """Send SIGTERM, as the kubelet does."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout: float = 30) -> int:
        """Return the exit code once the process has ended."""
        return self.process.wait(timeout)

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
        self._output.close()
        self._errors.close()


@contextlib.contextmanager
def running(repository: Path, node: Path, **environment: str) -> Iterator[ServiceProcess]:
    """Run the default service of a repository whose dependencies are installed."""
    folder = repository / "services" / "orders"
    with ServiceProcess([node, "src/server.ts"], folder, environment) as service:
        service.wait_ready()
        yield service
