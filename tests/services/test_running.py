"""The service as a real process: under load, under attack, scraped, and told to stop."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import Tools
from support import ROOT, free_port, run

from tools import load
from tools.service import ServiceProcess, running

pytestmark = pytest.mark.slow

ROUTE = "/v1/greetings/Ada"


@pytest.fixture(scope="module")
def node(tools: Tools) -> Path:
    return tools.path("node")


@pytest.fixture
def service(ready_repo: Path, node: Path) -> Iterator[ServiceProcess]:
    with running(ready_repo, node, SHUTDOWN_DRAIN_MS="0") as process:
        yield process


def test_serves_both_ports_and_is_ready_soon(ready_repo: Path, node: Path) -> None:
    seconds: list[float] = []
    # Others are at work here, so a start that they slow down is tried again.
    while len(seconds) < 3 or (min(seconds) >= 1.5 and len(seconds) < 10):
        folder = ready_repo / "services" / "orders"
        with ServiceProcess([node, "src/server.ts"], folder) as service:
            seconds.append(service.wait_ready())
            assert service.get("/livez")[0] == 200
            assert json.loads(service.get(ROUTE)[1]) == {"message": "Hello, Ada!"}
            assert service.get("/metrics")[0] == 404, "metrics are on a port of their own"
            assert service.get("/readyz", "metrics")[0] == 404
    # The goal is 1 s (docs/performance.md); the bound leaves room for a busy machine.
    assert min(seconds) < 1.5, f"start to ready took {seconds} s"


def test_bad_settings_stop_the_start_with_every_problem(ready_repo: Path, node: Path) -> None:
    bad = {"ENVIRONMENT": "moon", "HTTP_PORT": "eighty", "LOG_LEVEL": "loud"}
    folder = ready_repo / "services" / "orders"
    with ServiceProcess([node, "src/server.ts"], folder, bad) as service:
        assert service.wait(10) != 0
        said = service.errors
    for name, value in bad.items():
        lines = [line for line in said.splitlines() if name in line]
        assert len(lines) == 1 and value in lines[0], f"{name} is not reported on one line: {said}"


def test_faults_are_refused_in_production(ready_repo: Path, node: Path) -> None:
    folder = ready_repo / "services" / "orders"
    settings = {"ENVIRONMENT": "production", "FAULTS_ENABLED": "true"}
    with ServiceProcess([node, "src/server.ts"], folder, settings) as service:
        assert service.wait(10) != 0
        assert "FAULTS_ENABLED" in service.errors


# ---------------------------------------------------------------------------------- shutdown


@dataclass
class Client:
    """Keep-alive load on a pair of replicas, as a Service balances it.

    A new connection goes to a replica that says it is ready. A request that was sent and got no
    complete 200 is lost; a connection that the server announced to close is not.
    """

    replicas: list[ServiceProcess]
    stop: threading.Event = field(default_factory=threading.Event)
    answered: int = 0
    lost: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def connect(self, number: int) -> http.client.HTTPConnection:
        for replica in self.replicas[number % 2 :] + self.replicas[: number % 2]:
            with contextlib.suppress(OSError):
                if replica.get("/readyz")[0] == 200:
                    return http.client.HTTPConnection("127.0.0.1", replica.port(), timeout=10)
        raise AssertionError("no replica is ready")

    def work(self, number: int) -> None:
        connection = self.connect(number)
        while not self.stop.is_set():
            try:
                connection.request("GET", ROUTE)
                response = connection.getresponse()
                body = response.read()
                if response.status != 200 or b"Ada" not in body:
                    raise http.client.HTTPException(f"status {response.status}")
            except (OSError, http.client.HTTPException) as error:
                with self.lock:
                    self.lost.append(repr(error))
                connection.close()
                connection = self.connect(number)
                continue
            with self.lock:
                self.answered += 1
            if response.will_close:
                connection.close()
                connection = self.connect(number)
        connection.close()


def test_sigterm_in_the_middle_of_load_loses_no_request(ready_repo: Path, node: Path) -> None:
    drain = {"SHUTDOWN_DRAIN_MS": "1500"}
    with running(ready_repo, node, **drain) as first, running(ready_repo, node, **drain) as second:
        client = Client([first, second])
        threads = [threading.Thread(target=client.work, args=(n,)) for n in range(16)]
        for thread in threads:
            thread.start()
        time.sleep(1.5)
        before = client.answered
        began = time.monotonic()
        first.terminate()
        code = first.wait(15)
        took = time.monotonic() - began
        time.sleep(0.5)
        client.stop.set()
        for thread in threads:
            thread.join(15)
        print(
            f"\n{client.answered} requests, {client.answered - before} since SIGTERM; {took:.2f} s"
        )
    assert before > 200, "too little load to tell anything"
    assert client.lost == []
    assert code == 0
    assert 1.4 < took < 5, f"ended after {took:.2f} s, with a drain of 1.5 s"


def test_sigterm_lets_requests_in_flight_finish(ready_repo: Path, node: Path) -> None:
    settings = {"SHUTDOWN_DRAIN_MS": "100", "FAULTS_ENABLED": "true"}
    with running(ready_repo, node, **settings) as service:
        answers: list[tuple[int, str]] = []
        slow = threading.Thread(target=lambda: answers.append(service.get("/faults/delay/1500")))
        slow.start()
        time.sleep(0.3)
        service.terminate()
        time.sleep(0.05)
        assert service.get("/readyz")[0] == 503, "not ready as soon as the signal is there"
        assert service.metrics(), "metrics are served during the drain"
        assert service.wait(10) == 0
        slow.join(10)
    assert [status for status, _ in answers] == [200]


def test_a_request_that_never_ends_does_not_hold_the_shutdown(ready_repo: Path, node: Path) -> None:
    settings = {
        "SHUTDOWN_DRAIN_MS": "50",
        "SHUTDOWN_TIMEOUT_MS": "1000",
        "FAULTS_ENABLED": "true",
    }
    with running(ready_repo, node, **settings) as service:
        connection = http.client.HTTPConnection("127.0.0.1", service.port(), timeout=20)
        connection.request("GET", "/faults/delay/60000")
        time.sleep(0.2)
        began = time.monotonic()
        service.terminate()
        code = service.wait(10)
        took = time.monotonic() - began
        connection.close()
        assert code != 0, "an exit code of 0 would hide that a request was cut off"
        assert took < 4, f"held for {took:.1f} s"


def test_a_second_signal_ends_at_once(ready_repo: Path, node: Path) -> None:
    with running(ready_repo, node, SHUTDOWN_DRAIN_MS="20000") as service:
        service.terminate()
        time.sleep(0.3)
        began = time.monotonic()
        service.process.send_signal(signal.SIGINT)
        service.wait(10)
        assert time.monotonic() - began < 1


# ---------------------------------------------------------------------------------- hostile


def raw(service: ServiceProcess, data: bytes, timeout: float = 5) -> bytes:
    """Send bytes and return all that comes back until the server closes or time is up."""
    with socket.create_connection(("127.0.0.1", service.port()), timeout) as connection:
        connection.settimeout(timeout)
        received = b""
        with contextlib.suppress(OSError):
            connection.sendall(data)
            while chunk := connection.recv(65536):
                received += chunk
                if b"\r\n\r\n" in received and b"onnection: close" not in received:
                    break
        return received


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", b"400"),
        (b"INVENTED / HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", b"431"),
        (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"431"),
        (b"GET /%zz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"400"),
        (
            b"POST /v1/quotes HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /livez HTTP/1.1\r\n\r\n",
            b"400",
        ),
        (
            b"POST /v1/quotes HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Content-Length: 99999999\r\n\r\n",
            b"413",
        ),
        (
            b"POST /v1/quotes HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Connection: close\r\nContent-Length: 28\r\n\r\n"
            b'{"__proto__":{"admin":true}}',
            b"400",
        ),
    ],
    ids=[
        "not-http", "version", "method", "header-name", "huge-header", "huge-url",
        "bad-escape", "smuggling", "huge-body", "prototype",
    ],
)  # fmt: skip
def test_malformed_requests_get_a_problem_and_leave_it_alive(
    service: ServiceProcess, data: bytes, status: bytes
) -> None:
    answer = raw(service, data)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ")[1:2] == [status], answer[:300]
    assert b"application/problem+json" in head, head
    problem = json.loads(body)
    assert problem["status"] == int(status)
    assert not re.search(r"node_modules|at .*\.ts|stack", body.decode()), "internals are shown"
    assert service.get("/livez")[0] == 200


def test_a_request_without_host_is_refused(service: ServiceProcess) -> None:
    # Node.js answers this one before any code of ours, without a body.
    assert raw(service, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert service.get("/livez")[0] == 200


def test_slow_clients_do_not_keep_others_out(service: ServiceProcess) -> None:
    """200 clients that send one byte and then nothing (Slowloris)."""
    slow = [socket.create_connection(("127.0.0.1", service.port()), 5) for _ in range(200)]
    try:
        for connection in slow:
            connection.sendall(b"G")
        for _ in range(20):
            began = time.monotonic()
            assert service.get(ROUTE)[0] == 200
            assert time.monotonic() - began < 1
        # headersTimeout ends them; until then they cost a socket each.
        end = time.monotonic() + 20
        closed = 0
        while closed < len(slow) and time.monotonic() < end:
            closed = 0
            for connection in slow:
                connection.setblocking(False)
                try:
                    closed += connection.recv(4096) != b"" or 1
                except BlockingIOError:
                    break
                except OSError:
                    closed += 1
            time.sleep(0.5)
        assert closed == len(slow), f"{closed} of {len(slow)} slow clients were sent away in 20 s"
    finally:
        for connection in slow:
            connection.close()


def test_ten_thousand_urls_and_odd_methods_add_no_series_and_no_memory(
    service: ServiceProcess,
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port(), timeout=10)

    def ask(method: str, path: str) -> None:
        connection.request(method, path)
        connection.getresponse().read()

    odd = ["M-SEARCH", "PURGE", "PROPFIND", "LINK", "REPORT", "SOURCE", "TRACE", "QUERY"]
    for method in odd:
        ask(method, "/warm-up")
    for number in range(2000):
        ask("GET", f"/warm-up/{number}")
    series, memory = set(service.metrics()), service.resident_bytes()

    for number in range(10_000):
        ask("GET", f"/unknown/{number}/{'x' * (number % 50)}?q={number}")
    for number in range(100):
        ask(odd[number % len(odd)], f"/{number}")
    connection.close()

    after = service.metrics()
    added = {entry for entry in set(after) - series if not entry.startswith("nodejs_")}
    assert added == set(), f"new series: {sorted(added)[:5]}"
    unmatched = [
        value
        for name, value in after.items()
        if name.startswith("http_requests_total") and 'route="unmatched"' in name
    ]
    assert sum(unmatched) >= 12_000, "they were not counted at all"
    grown = (service.resident_bytes() - memory) / 2**20
    assert grown < 60, f"10,100 requests grew the memory by {grown:.0f} MiB"


def test_overload_is_shed_and_probes_still_answer(ready_repo: Path, node: Path) -> None:
    with running(ready_repo, node, MAX_IN_FLIGHT="5", FAULTS_ENABLED="true") as service:
        busy = []
        for _ in range(5):
            connection = http.client.HTTPConnection("127.0.0.1", service.port(), timeout=10)
            connection.request("GET", "/faults/delay/2000")
            busy.append(connection)
        time.sleep(0.3)
        extra = http.client.HTTPConnection("127.0.0.1", service.port(), timeout=10)
        extra.request("GET", ROUTE)
        refused = extra.getresponse()
        body = json.loads(refused.read())
        assert refused.status == 503 and body["status"] == 503
        assert int(refused.headers["Retry-After"]) >= 1
        assert service.get("/livez")[0] == 200
        assert service.get("/readyz")[0] == 200
        assert [connection.getresponse().status for connection in busy] == [200] * 5
        assert service.get(ROUTE)[0] == 200, "it serves again once the load is gone"
        for connection in [*busy, extra]:
            connection.close()


# ---------------------------------------------------------------------------------- watching


def test_real_load_is_served_without_a_failure_counted_and_logged(
    ready_repo: Path, node: Path
) -> None:
    with running(ready_repo, node, SHUTDOWN_DRAIN_MS="0", LOG_REQUESTS="all") as service:
        serve_load(service)


def serve_load(service: ServiceProcess) -> None:
    report = load.put(f"http://127.0.0.1:{service.port()}{ROUTE}", connections=50, seconds=5)
    print(f"\n{report['requests']['average']:.0f} requests/s, p99 {report['latency']['p99']} ms")
    assert (report["errors"], report["timeouts"], report["non2xx"]) == (0, 0, 0)
    metrics = service.metrics()
    labels = 'method="GET",route="/v1/greetings/:name",status_code="200"'
    counted = metrics[f"http_requests_total{{{labels}}}"]
    # What was under way when the load generator hung up is counted too.
    assert report["2xx"] <= counted <= report["2xx"] + 100
    assert metrics["http_requests_in_flight"] == 0
    service.terminate()
    service.wait()
    logged = [entry for entry in service.logs if entry.get("status_code") == 200]
    assert len(logged) >= report["2xx"], "a request was answered and not logged"


def test_promtool_accepts_the_metrics(service: ServiceProcess, tools: Tools) -> None:
    service.get(ROUTE)
    _, text = service.get("/metrics", "metrics")
    result = run(tools.path("promtool"), "check", "metrics", cwd=ROOT, stdin=text, check=False)
    # The client library's own defaults break a naming rule that ours keep.
    objections = [
        line
        for line in (result.stdout + result.stderr).splitlines()
        if line and not line.startswith(("nodejs_", "process_"))
    ]
    assert objections == []


def test_a_real_prometheus_scrapes_it(
    service: ServiceProcess, tools: Tools, tmp_path: Path
) -> None:
    config = tmp_path / "prometheus.yml"
    target = f"127.0.0.1:{service.port('metrics')}"
    config.write_text(
        "scrape_configs:\n  - job_name: orders\n    scrape_interval: 1s\n    static_configs:\n"
        f"      - targets: ['{target}']\n",
        encoding="utf-8",
    )
    service.get(ROUTE)
    port = free_port()
    process = subprocess.Popen(
        [
            tools.path("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "GOMAXPROCS": "1"},
    )

    def query(expression: str) -> list[dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("GET", f"/api/v1/query?query={expression}")
            answer = json.loads(connection.getresponse().read())
            return [entry["metric"] for entry in answer.get("data", {}).get("result", [])]
        return []

    try:
        end = time.monotonic() + 30
        while not query("up==1") and time.monotonic() < end:
            time.sleep(0.3)
        assert query("up==1"), "Prometheus could not scrape the service"
        assert query('http_requests_total{route="/v1/greetings/:name"}')
        # As a bucket of 1 s is stored as le="1.0", only a threshold that is not whole matches.
        assert query('http_request_duration_seconds_bucket{le="0.3"}')
    finally:
        process.terminate()
        process.wait(15)


def test_logs_tell_who_and_what_but_no_secret(ready_repo: Path, node: Path) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    with running(ready_repo, node, SHUTDOWN_DRAIN_MS="0") as service:
        connection = http.client.HTTPConnection("127.0.0.1", service.port(), timeout=10)
        headers = {
            "traceparent": f"00-{trace}-00f067aa0ba902b7-01",
            "x-request-id": "request-12345",
            "authorization": "Bearer hunter2",
            "content-type": "application/json",
        }
        body = json.dumps({"currency": "EUR", "password": "hunter2"})
        connection.request("POST", "/v1/quotes?token=hunter2", body, headers)
        response = connection.getresponse()
        response.read()
        assert response.headers["x-request-id"] == "request-12345"
        connection.close()
        service.terminate()
        service.wait()
        (entry,) = [line for line in service.logs if line.get("request_id") == "request-12345"]
        assert entry["trace_id"] == trace
        assert entry["route"] == "/v1/quotes"
        assert entry["status_code"] == 400
        assert "hunter2" not in json.dumps(service.logs) + service.errors
