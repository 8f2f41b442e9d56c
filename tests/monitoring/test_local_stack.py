"""Real Prometheus and Alertmanager watch the real service: everything returns data, faults wake people.

All is started by the generated repository's own `make dev` and `make rehearse`.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest
import yaml
from conftest import Bake, Tools, link_dependencies
from monitoring.dashboards import expressions, panels
from support import run

from tools import fetch
from tools.cluster import free_ports
from tools.service import running

pytestmark = pytest.mark.slow

T = TypeVar("T")
JSON = {"content-type": "application/json"}

# Time passes so many times as fast as in a cluster: the default of `make rehearse`.
FASTER = 60
ANSWERS = {"notifications": "slack-and-email", "rollout": "canary"}
GOOD = "/faults/status/200"
PORTS = ("HTTP", "METRICS", "PROMETHEUS", "ALERTMANAGER", "GRAFANA", "MAILPIT", "SMTP")


def get(url: str, **parameters: object) -> Any:  # noqa: ANN401 - whatever the API answers
    """Return the JSON that an address answers."""
    query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
    with urllib.request.urlopen(f"{url}{query}", timeout=30) as response:  # noqa: S310
        return json.load(response)


def request(method: str, url: str, body: object = None) -> Any:  # noqa: ANN401
    """Send a request, with JSON or nothing; return the JSON that comes back.

    urllib would call an empty body a form.
    """
    address = urllib.parse.urlparse(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=30)
    with contextlib.closing(connection):
        data, headers = (None, {}) if body is None else (json.dumps(body), JSON)
        connection.request(method, address.path, data, headers)
        response = connection.getresponse()
        text = response.read().decode()
        assert response.status < 400, f"{method} {url}: {response.status} {text}"
        return json.loads(text or "null")


def until(what: str, probe: Callable[[], T], seconds: float = 120) -> T:
    """Wait until a probe returns something, and return that."""
    end = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        assert time.monotonic() < end, f"{what} did not come within {seconds:.0f} s"
        time.sleep(0.1)


class Traffic:
    """Steady requests to the pods in turn, from a thread; those to `path` can be bad ones."""

    def __init__(self, urls: list[str], rate: float) -> None:
        self.urls = urls
        self.rate = rate
        self.path = GOOD
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def _send(self) -> None:
        turns = itertools.cycle(range(1000))
        while not self._over.wait(1 / self.rate):
            host = self.urls[next(turns) % len(self.urls)].removeprefix("http://")
            connection = http.client.HTTPConnection(host, timeout=10)
            with (
                contextlib.closing(connection),
                contextlib.suppress(OSError, http.client.HTTPException),
            ):
                connection.request("GET", self.path)
                connection.getresponse().read()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


class Dev:
    """`make dev` with two pods, a day of usual traffic, and steady requests."""

    def __init__(self, repository: Path, path: Path, log: Path) -> None:
        self.repository, self.path, self.log = repository, path, log
        self.traffic: Traffic
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                ["node", "monitoring/dev/dev.js", "orders", f"--faster={FASTER}"]
                + ["--replicas=2", "--usual=20"],
                cwd=repository,
                env={**fetch.with_path(path), **{f"{name}_PORT": "0" for name in PORTS}},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait(self) -> None:
        """Wait until everything has started, and learn where."""
        until("the end of the start", lambda: "Ctrl-C" in self.said or self.process.poll())
        assert self.process.poll() is None, self.said
        self.urls = dict(re.findall(r"^(\S+) +(http://127\.0\.0\.1:\d+\S*)$", self.said, re.M))
        assert "Not here: prom" not in self.said, self.said

    @property
    def said(self) -> str:
        """What it has written so far."""
        return self.log.read_text(encoding="utf-8")

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Return what Prometheus answers to a query now."""
        answer = get(f"{self.urls['Prometheus']}/api/v1/query", query=expr)
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def slack(self, title: str) -> list[dict[str, Any]]:
        """Return the messages to Slack whose title has this pattern."""
        all_ = [each for message in get(self.urls["Slack"]) for each in message["attachments"]]
        return [each for each in all_ if re.search(title, each["title"])]

    def letters(self, subject: str) -> list[tuple[str, str]]:
        """Return subject and text of the letters whose subject has this pattern, newest first."""
        api = f"{self.urls['Mailpit']}/api/v1"
        found = get(f"{api}/messages", limit=500)["messages"]
        return [
            (each["Subject"], get(f"{api}/message/{each['ID']}")["Text"])
            for each in found
            if re.search(subject, each["Subject"])
        ]

    @property
    def calm(self) -> bool:
        """Whether nothing fires, and all that did has been told to be over."""
        groups = get(f"{self.urls['Alertmanager']}/api/v2/alerts/groups")
        return {group["labels"].get("alertname") for group in groups} <= {"Watchdog"}

    def notified(self, alert: str) -> list[dict[str, Any]]:
        """Return what Alertmanager has of an alert."""
        return [
            each
            for each in get(f"{self.urls['Alertmanager']}/api/v2/alerts")
            if each["labels"]["alertname"] == alert
        ]

    def ready(self, pod: str) -> bool:
        """Say whether a pod answers and Prometheus knows it."""
        with contextlib.suppress(OSError):
            get(f"{self.urls[pod]}/readyz")
            return bool(self.query(f'up{{pod="{pod}"}} == 1'))
        return False

    def out_of_memory(self, pod: str) -> None:
        """Let a pod use more memory than its limit, and wait until it is back."""
        restarts = f'kube_pod_container_status_restarts_total{{pod="{pod}"}}'
        before = until(restarts, lambda: self.query(restarts))[0]["value"][1]
        with contextlib.suppress(OSError, http.client.HTTPException):
            request("POST", f"{self.urls[pod]}/faults/memory/400")
        until(f"a restart of {pod}", lambda: self.query(f"{restarts} > {before}"))
        until(f"{pod} again", lambda: self.ready(pod))


@pytest.fixture(scope="module")
def repository(bake: Bake, ready_repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with every dashboard and channel, whose dependencies are installed."""
    baked = bake(**ANSWERS)
    copy = tmp_path_factory.mktemp("monitored") / baked.name
    shutil.copytree(baked, copy, symlinks=True)
    for folder in ("checks", "services/orders"):
        link_dependencies(ready_repo / folder, copy / folder)
    return copy


@pytest.fixture(scope="module")
def dev(repository: Path, tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """The monitored service with twenty good requests per second to both pods.

    Tests leave it as well as they found it.
    """
    dev = Dev(repository, tools.folder(), tmp_path_factory.mktemp("dev") / "log")
    try:
        dev.wait()
        with Traffic([dev.urls["orders-0"], dev.urls["orders-1"]], 20) as dev.traffic:
            # Of the service itself: the history has recorded series only.
            until("traffic", lambda: dev.query("sum(rate(http_requests_total[10s])) > 15"))
            until("usual traffic", lambda: dev.query("service:http_requests:band_upper"))
            yield dev
    finally:
        dev.process.send_signal(signal.SIGINT)
        dev.process.wait(30)
    for name, url in dev.urls.items():
        with pytest.raises(OSError):
            get(url)
            pytest.fail(f"{name} has not ended")


def links(text: str) -> dict[str, str]:
    """Return the links of a message to Slack by their texts."""
    found = {name: url for url, name in re.findall(r"<([^|>]+)\|([^>]+)>", text)}
    return {name: url.replace("&amp;", "&") for name, url in found.items()}


def check_links(dev: Dev, found: dict[str, str]) -> None:
    """Follow the links of a message."""
    runbook = found["Runbook"].split("/blob/main/")[1]
    assert (dev.repository / runbook).is_file(), runbook
    uids = {uid for uid, _ in panels(dev.repository)}
    assert re.search(r"/d/([^?]+)\?var-service=orders$", found["Dashboard"])[1] in uids  # type: ignore[index]
    expr = urllib.parse.parse_qs(urllib.parse.urlparse(found["Query"]).query)["g0.expr"][0]
    dev.query(expr)
    # The form for a silence is a page; what it sends is this.
    assert found["Silence"].startswith(f"{dev.urls['Alertmanager']}/#/silences/new?filter=")
    filters = urllib.parse.unquote(found["Silence"].split("filter=")[1])
    pairs = re.findall(r'(\w+)="([^"]*)"', filters)
    assert {"alertname", "namespace", "service"} <= {name for name, _ in pairs}
    now = time.time()
    silence = {
        "matchers": [{"name": name, "value": value, "isRegex": False} for name, value in pairs],
        "startsAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        "endsAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + 600)),
        "createdBy": "test",
        "comment": "test",
    }
    api = f"{dev.urls['Alertmanager']}/api/v2"
    made = request("POST", f"{api}/silences", silence)["silenceID"]
    until(
        "a silenced alert",
        lambda: any(
            each["status"]["silencedBy"] for each in dev.notified(dict(pairs)["alertname"])
        ),
    )
    request("DELETE", f"{api}/silence/{made}")


def test_a_page_arrives_everywhere_holds_warnings_back_and_resolves(
    dev: Dev, capsys: pytest.CaptureFixture[str]
) -> None:
    until("an end of what fired before", lambda: dev.calm, 240)
    slack_before, letters_before = len(dev.slack("")), len(dev.letters(""))

    def slack(title: str) -> list[dict[str, Any]]:
        return [each for each in dev.slack("")[slack_before:] if re.search(title, each["title"])]

    def letters(subject: str) -> list[str]:
        count = len(dev.letters("")) - letters_before
        return [text for title, text in dev.letters("")[:count] if re.search(subject, title)]

    dev.traffic.path = "/faults/status/500"
    started = time.monotonic()
    page = until("the page in Slack", lambda: slack(r"CRITICAL\] HighErrorRate"))[0]
    seconds = time.monotonic() - started
    with capsys.disabled():
        print(f"\nfirst bad request to page: {seconds:.1f} s at {FASTER} times the speed")
    letter = until("the page by email", lambda: letters(r"CRITICAL\] HighErrorRate"))[0]
    check_links(dev, links(page["text"]))
    for link in ("Runbook", "Dashboard"):
        assert links(page["text"])[link] in letter, letter

    # One after the other, as a service without pods is another page.
    for pod in ("orders-0", "orders-1"):
        dev.out_of_memory(pod)
    until("two warnings", lambda: len(dev.notified("PodOOMKilled")) == 2)
    warnings = dev.notified("PodOOMKilled")
    assert all(each["status"]["inhibitedBy"] for each in warnings), warnings
    assert not slack("PodOOMKilled"), "the warning was told beside its page"

    dev.traffic.path = GOOD
    until("the end in Slack", lambda: slack(r"RESOLVED\] HighErrorRate"))
    until("the end by email", lambda: letters(r"RESOLVED\] HighErrorRate"))
    # The page is over, the warning is not: now it is told, of both pods at once.
    told = until("the warning", lambda: slack(r"WARNING\] PodOOMKilled"))[0]
    assert all(part in told["text"] for part in ("*2 firing*", "orders-0", "orders-1")), told
    assert not letters("PodOOMKilled"), "a warning went by email"


# What each recorded series is about, by the first part of its name, beside namespace, service, team.
LABELS = {
    "service": set(),
    "pod": {"pod"},
    "route": {"method", "route"},
    "status": {"status_code"},
}
OTHER_LABELS = {
    "service:build_info:pods": {
        "namespace",
        "service",
        "team",
        "version",
        "revision",
        "node_version",
    },
}


def wanted_labels(name: str) -> set[str]:
    kind = name.split(":")[0]
    if kind == "slo":
        return set()
    if kind == "revision":
        return {"namespace", "service", "rollouts_pod_template_hash"}
    return OTHER_LABELS.get(name, {"namespace", "service", "team"} | LABELS[kind])


def shipped_rules(repository: Path, path: Path, *options: str) -> list[dict[str, Any]]:
    """Return the rule groups that the repository gives to Prometheus."""
    result = run("node", "checks/lib/rules.js", *options, cwd=repository, path=path)
    groups: list[dict[str, Any]] = yaml.safe_load(result.stdout)["groups"]
    return groups


def test_every_rule_and_dashboard_has_data(dev: Dev) -> None:
    rules = [rule for group in shipped_rules(dev.repository, dev.path) for rule in group["rules"]]
    recorded = {rule["record"] for rule in rules if "record" in rule}
    # Some series are there only when something is wrong.
    dev.out_of_memory("orders-0")
    healthy, crashing = dev.traffic.urls
    dev.traffic.urls = [healthy]

    def crash() -> list[dict[str, Any]]:
        with contextlib.suppress(OSError, http.client.HTTPException):
            request("POST", f"{crashing}/faults/exit")
        return dev.query("pod:container_crash_loop:max5m")

    until("a crash loop", crash)
    dev.traffic.path = "/faults/status/500"
    until("failed requests", lambda: dev.query("service:http_errors:increase3d > 0"))
    dev.traffic.path = GOOD

    for name in sorted(recorded):
        found = until(f"data of {name}", lambda name=name: dev.query(name), 30)  # type: ignore[misc]
        for series in found:
            labels = series["metric"]
            assert set(labels) - {"__name__"} == wanted_labels(name), f"{name}: {labels}"
            for label, value in {
                "namespace": "apps",
                "service": "orders",
                "team": "acme-shop",
            }.items():
                assert labels.get(label, value) == value, f"{name}: {labels}"
    for rule in rules:
        names = re.findall(r"(?<![\w:])[a-z]\w*:[\w:]+", rule["expr"])
        missing = set(names) - recorded
        assert not missing, f"{rule.get('alert')} reads {missing}"
    state = get(f"{dev.urls['Prometheus']}/api/v1/rules")["data"]["groups"]
    failed = [rule for group in state for rule in group["rules"] if rule["health"] != "ok"]
    assert not failed, [f"{rule['name']}: {rule.get('lastError')}" for rule in failed]

    empty = [
        f"{each.dashboard}, {each.title} {each.ref}: {each.expr}"
        for each in expressions(dev.repository, dev.path)
        if not each.filled_by and not dev.query(each.expr)
    ]
    assert not empty, "no data for:\n" + "\n".join(empty)
    until("orders-1 again", lambda: dev.ready("orders-1"))
    dev.traffic.urls = [healthy, crashing]
    save_queries(dev)


def save_queries(dev: Dev) -> None:
    """Save what each expression of each dashboard was over the last minutes, when a folder is named."""
    folder = os.environ.get("SLIPWAY_QUERIES")
    if not folder:
        return
    now = time.time()
    saved = [
        {
            "dashboard": each.dashboard,
            "panel": each.title,
            "ref": each.ref,
            "legend": each.legend,
            "expr": each.expr,
            "result": get(
                f"{dev.urls['Prometheus']}/api/v1/query_range",
                **{"query": each.expr, "start": now - 360, "end": now, "step": 1},
            ),
        }
        for each in expressions(dev.repository, dev.path)
    ]
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / "queries.json").write_text(json.dumps(saved), encoding="utf-8")


def test_rehearsals_and_one_that_fails(repository: Path, tools: Tools, tmp_path: Path) -> None:
    """A slow and a killed service, what always fires, and beside them an alert that can't fire."""
    copy = tmp_path / repository.name
    shutil.copytree(repository, copy, symlinks=True, copy_function=os.link)
    rules = copy / "monitoring/rules/alerts-pods.yaml"
    text = rules.read_text(encoding="utf-8")
    assert "pod:container_oom_kills:increase1h > 0" in text
    rules.unlink()
    rules.write_text(text.replace("kills:increase1h > 0", "kills:increase1h > 1e9"), "utf-8")
    names = ["PodOOMKilled", "HighLatency", "ServiceDown", "Watchdog"]
    command = ("node", "monitoring/dev/rehearse.js", *names, "--jobs=2")
    said = run(*command, cwd=copy, path=tools.folder(), check=False)
    assert said.returncode != 0
    for name in names[1:]:
        assert re.search(rf"^{name} .*: ", said.stdout, re.M), said.stdout + said.stderr
    assert len(re.findall(r"slack, email:", said.stdout)) == 2, said.stdout
    wanted = r"PodOOMKilled .*did not fire within \d+ s\. In Prometheus it is inactive"
    assert re.search(wanted, said.stderr), said.stderr


def test_the_rehearsal_of_no_alert_is_refused(repository: Path, tools: Tools) -> None:
    command = ("make", "rehearse", "ALERT=HighError")
    result = run(*command, cwd=repository, path=tools.folder(), check=False)
    assert "ALERT=HighError: there is no such alert; there are all, " in result.stderr


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_every_alert_can_be_rehearsed(
    repository: Path, tools: Tools, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.json"
    command = ("node", "monitoring/dev/rehearse.js", "all", "--jobs=2", f"--json={report}")
    said = run(*command, cwd=repository, path=tools.folder(), timeout=1400).stdout
    with capsys.disabled():
        print(f"\n{said}")
    results = {each["alert"]: each for each in json.loads(report.read_text(encoding="utf-8"))}
    rules = [rule for group in shipped_rules(repository, tools.folder()) for rule in group["rules"]]
    assert set(results) == {rule["alert"] for rule in rules if "alert" in rule}
    for name, result in results.items():
        assert (repository / "runbooks" / f"{name}.md").is_file()
        assert result["messages"], name


def test_a_taken_port_and_a_missing_program_are_said(repository: Path, tools: Tools) -> None:
    path = tools.folder("node")
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), http.server.BaseHTTPRequestHandler
    ) as server:
        taken = str(server.server_port)
        ports = {f"{name}_PORT": "0" for name in PORTS} | {"PROMETHEUS_PORT": taken}
        said = run(
            "node",
            "monitoring/dev/dev.js",
            "orders",
            cwd=repository,
            path=path,
            environment=ports,
            check=False,
        )
    assert said.returncode == 1
    assert (
        said.stderr.strip()
        == f"port {taken} is taken: end what listens there, or set PROMETHEUS_PORT=0 for any"
    )


# ------------------------------------------------------------------------------ one scaling

TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*"|[a-zA-Z_][\w:]*|(?:\d+(?:ms|[smhdwy]))+(?!\w)|\d+(?:\.\d+)?(?:e[+-]?\d+)?|\s+|.'
)
UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def milliseconds(text: str) -> float | None:
    """Return a duration in milliseconds, or nothing if it is none."""
    if not re.fullmatch(r"(?:\d+(?:ms|[smhdwy]))+", text):
        return None
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdw])", text))


def differences(real: Any, scaled: Any, where: str = "") -> Iterator[str]:  # noqa: ANN401
    """Yield where two rule files differ in more than durations that are divided."""
    if isinstance(real, dict) and isinstance(scaled, dict) and real.keys() == scaled.keys():
        for key in real:
            yield from differences(real[key], scaled[key], f"{where}.{key}")
    elif isinstance(real, list) and isinstance(scaled, list) and len(real) == len(scaled):
        for number, (one, other) in enumerate(zip(real, scaled, strict=True)):
            yield from differences(one, other, f"{where}[{number}]")
    elif re.search(r"\.(expr|for|keep_firing_for|interval)$", where):
        pairs = itertools.zip_longest(TOKEN.findall(real), TOKEN.findall(scaled), fillvalue="")
        for one, other in pairs:
            before, after = milliseconds(one), milliseconds(other)
            same = (
                one == other if before is None else after is not None and before == after * FASTER
            )
            if not same:
                yield f"{where}: {one} -> {other}"
    elif real != scaled:
        yield f"{where}: {real} -> {scaled}"


def test_scaled_rules_differ_in_durations_alone(repository: Path, tools: Tools) -> None:
    path = tools.folder()
    real = shipped_rules(repository, path)
    scaled = shipped_rules(repository, path, f"--faster={FASTER}")
    assert list(differences(real, scaled)) == []
    assert any("5000ms" in rule["expr"] for group in scaled for rule in group["rules"])
    scaled[0]["rules"][0]["expr"] += " * 2"
    assert list(differences(real, scaled)), "a difference is not seen"


# ------------------------------------------------------------------------------ cost


def test_series_of_a_pod_stay_within_the_budget(
    ready_repo: Path, tools: Tools, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = (ready_repo / "services/orders/README.md").read_text(encoding="utf-8")
    budget = re.search(r"at most ([\d,]+) series", readme)
    assert budget, "services/orders/README.md states no budget"
    with running(ready_repo, tools.path("node")) as service:
        fresh = len(service.metrics())
        for path in ("/v1/greetings/Ada", "/v1/greetings/1", "/nowhere", "/openapi.json"):
            service.get(path)
        used = len(service.metrics())
    with capsys.disabled():
        print(f"\nseries of a pod: {fresh} when it starts, {used} in use, budget {budget[1]}")
    assert fresh <= used <= int(budget[1].replace(",", ""))


class Copies(http.server.BaseHTTPRequestHandler):
    """Answers each scrape of a service with one real exposition, with counters that grow."""

    text = ""
    services: tuple[str, ...] = ()

    def do_GET(self) -> None:
        if self.path == "/state":
            text = "".join(map(state_of, self.services))
        else:
            text = self.text.replace("@", str(int(time.time() * 20)))
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def state_of(service: str) -> str:
    """Return what kube-state-metrics and the kubelet would tell of a service with one pod."""
    own = f'namespace="apps",pod="{service}-0"'
    return (
        f'kube_service_labels{{namespace="apps",service="{service}",label_team="web"}} 1\n'
        f'kube_pod_labels{{{own},label_app_kubernetes_io_name="{service}"}} 1\n'
        f'kube_pod_container_status_restarts_total{{{own},container="service"}} 0\n'
        f'kube_pod_container_resource_limits{{{own},container="service",resource="memory"}} 3e8\n'
        f'container_memory_working_set_bytes{{{own},container="service"}} 1e8\n'
    )


def test_the_cost_of_rules_grows_no_faster_than_services(
    ready_repo: Path, tools: Tools, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Windows of five minutes are full in time, and those of an hour as far as goes without long waits.
    faster = 20
    path = tools.folder()
    with running(ready_repo, tools.path("node")) as service:
        for url in ("/v1/greetings/Ada", "/openapi.json"):
            service.get(url)
        text = service.get("/metrics", "metrics")[1]
    Copies.text = re.sub(r"^(http_request\S+) [1-9]\S*$", r"\1 @", text, flags=re.M)
    (tmp_path / "rules.json").write_text(
        json.dumps({"groups": shipped_rules(ready_repo, path, f"--faster={faster}")}),
        encoding="utf-8",
    )
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Copies)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_port}"
    interval = f"{30_000 // faster}ms"
    config = {
        "global": {
            "scrape_interval": interval,
            "scrape_timeout": interval,
            "evaluation_interval": interval,
        },
        "rule_files": ["rules.json"],
        "scrape_configs": [
            {"job_name": "copies", "file_sd_configs": [{"files": ["targets.json"]}]},
            {
                "job_name": "kube-state-metrics",
                "honor_labels": True,
                "metrics_path": "/state",
                "static_configs": [{"targets": [address]}],
            },
        ],
    }
    (tmp_path / "prometheus.json").write_text(json.dumps(config), encoding="utf-8")
    targets = tmp_path / "targets.json"
    targets.write_text("[]", encoding="utf-8")
    port = free_ports(1)[0]
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen(
        [str(path / "prometheus"), "--config.file=prometheus.json", f"--storage.tsdb.path={tmp_path}/data"]
        + [f"--web.listen-address=127.0.0.1:{port}"],
        cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT,
    )  # fmt: skip
    costs: dict[int, float] = {}

    def target(name: str) -> dict[str, object]:
        own = {"job": name, "service": name, "pod": f"{name}-0"}
        return {"targets": [address], "labels": own | {"namespace": "apps", "team": "web"}}

    try:
        for count in (1, 10, 100):
            Copies.services = tuple(f"s{number}" for number in range(count))
            targets.write_text(json.dumps([target(name) for name in Copies.services]), "utf-8")
            time.sleep(12 if count < 100 else 30)
            groups = get(f"http://127.0.0.1:{port}/api/v1/rules")["data"]["groups"]
            found = get(
                f"http://127.0.0.1:{port}/api/v1/query", query="count(service:http_requests:rate5m)"
            )
            assert found["data"]["result"][0]["value"][1] == str(count), (
                tmp_path / "log"
            ).read_text()
            costs[count] = sum(float(group["evaluationTime"]) for group in groups)
    finally:
        process.kill()
        process.wait()
        log.close()
        server.shutdown()
        server.server_close()
    with capsys.disabled():
        shown = ", ".join(f"{count}: {seconds * 1000:.0f} ms" for count, seconds in costs.items())
        print(f"\none evaluation of all rules, by the number of services: {shown} (every 30 s)")
    assert costs[100] < 10, costs
