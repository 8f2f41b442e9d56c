"""Alertmanager's configuration is valid, tells whom the answers name, and says what to act on."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import itertools
import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml
from conftest import Bake, Deployable, Tools
from manifests import Object, objects, render
from support import choices, free_port, run

from tools import fetch
from tools.cluster import end

CONFIG = "monitoring/alertmanager/alertmanager.yaml"
EACH = pytest.mark.parametrize("notifications", choices()["notifications"])


def config(repository: Path) -> Object:
    """Return Alertmanager's configuration."""
    loaded: Object = yaml.safe_load((repository / CONFIG).read_text(encoding="utf-8"))
    return loaded


def lint(repository: Path) -> str:
    """Run `make lint-alertmanager`; return what it says against the configuration, or nothing."""
    result = run(
        "make", "--silent", "lint-alertmanager",
        cwd=repository, path=fetch.commands(), check=False,
    )  # fmt: skip
    return result.stderr if result.returncode else ""


@pytest.mark.slow
@EACH
def test_amtool_accepts_the_configuration_and_its_routes(
    deployable: Deployable, notifications: str
) -> None:
    repository = deployable(notifications=notifications)
    result = run(
        "make", "--silent", "lint-alertmanager", cwd=repository, path=fetch.commands()
    ).stdout
    cases = yaml.safe_load((repository / "monitoring/alertmanager/tests.yaml").read_text("utf-8"))
    assert "SUCCESS" in result and f"{len(cases)} alerts go where" in result
    reached = {name for case in cases for name in case["receivers"]}
    assert reached == {receiver["name"] for receiver in config(repository)["receivers"]}


@EACH
def test_alerts_go_where_the_answers_say(bake: Bake, notifications: str) -> None:
    repository = bake(
        notifications=notifications, slack_channel="eks", alert_email="o'neil+1@example.com"
    )
    receivers = {entry["name"]: entry for entry in config(repository)["receivers"]}
    both = notifications == "slack-and-email"
    people = ["platform", "team-acme-shop"]
    people += [f"{name}-critical" for name in people] if both else []
    assert receivers.keys() == {"nobody", "heartbeat", *people}
    assert receivers["nobody"] == {"name": "nobody"}
    for name in people:
        channels = [entry["channel"] for entry in receivers[name].get("slack_configs", [])]
        addresses = [entry["to"] for entry in receivers[name].get("email_configs", [])]
        emailed = notifications == "email" or name.endswith("-critical")
        assert channels == (["#eks"] if "slack" in notifications else [])
        assert addresses == (["o'neil+1@example.com"] if emailed else [])
        for entries in receivers[name].values():
            assert isinstance(entries, str) or all(entry["send_resolved"] for entry in entries)


@EACH
def test_no_secret_stands_in_the_configuration(bake: Bake, notifications: str) -> None:
    text = (bake(notifications=notifications) / CONFIG).read_text(encoding="utf-8")
    keys = set(re.findall(r"^ *-? *(\w*(?:url|password)\w*):", text, re.M))
    assert keys and all(key.endswith("_file") for key in keys), keys
    assert text.count("$(SMTP_USERNAME)") == ("email" in notifications)


def test_the_secret_holds_the_configuration_and_every_template(deployable: Deployable) -> None:
    repository = deployable(notifications="slack-and-email")
    secrets = [entry for entry in objects(render(repository, "dev")) if entry["kind"] == "Secret"]
    (held,) = secrets
    assert (held["metadata"]["namespace"], held["metadata"]["name"]) == (
        "monitoring",
        "alertmanager-config",
    )
    assert set(held["data"]) == {"alertmanager.yaml", "common.tmpl", "email.tmpl", "slack.tmpl"}


# ------------------------------------------------------------------------------------ messages

START = "2026-01-02T03:04:05Z"
LABELS = {"alertname": "HighErrorRate", "service": "orders", "namespace": "apps"}


def alert(number: int = 0, **changes: object) -> Object:
    """Return an alert as Alertmanager gives it to templates."""
    return {
        "status": "firing",
        "labels": {**LABELS, "pod": f"orders-{number}"},
        "annotations": {
            "summary": "orders <fails> & more",
            "description": f"{number} % of requests fail",
            "runbook_url": "https://example.com/HighErrorRate.md",
            "dashboard_url": "http://grafana/d/service-overview?a=1&var-service=orders",
        },
        "startsAt": START,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph?g0.expr=up&g0.tab=1",
        **changes,
    }


RESOLVED: dict[str, Any] = {"status": "resolved", "endsAt": "2026-01-02T04:05:06Z"}


@pytest.fixture
def message(bake: Bake, tools: Tools, tmp_path: Path) -> Callable[..., str]:
    """Return a function from a template's name and alerts to what amtool makes of them."""

    def made(template: str, *alerts: Object, **changes: object) -> str:
        status = "firing" if any(entry["status"] == "firing" for entry in alerts) else "resolved"
        data = {
            "receiver": "team-acme-shop",
            "status": status,
            "externalURL": "http://localhost:9093",
            "groupLabels": LABELS,
            "commonLabels": {
                **LABELS, "severity": "critical", "team": "acme-shop", "cluster": "acme-shop-dev"
            },
            "commonAnnotations": {},
            "alerts": alerts,
            **changes,
        }  # fmt: skip
        file = tmp_path / "data.json"
        file.write_text(json.dumps(data), encoding="utf-8")
        return run(
            tools.path("amtool"), "template", "render",
            "--template.glob=monitoring/alertmanager/templates/*.tmpl",
            f'--template.text={{{{ template "{template}" . }}}}', f"--template.data={file}",
            cwd=bake(notifications="slack-and-email"),
        ).stdout  # fmt: skip

    return made


TITLES = pytest.mark.parametrize("title", ["slack.default.title", "email.default.subject"])
TEXTS = pytest.mark.parametrize("text", ["slack.default.text", "email.text"])


@pytest.mark.slow
@TITLES
def test_a_title_says_how_bad_what_and_where(message: Callable[..., str], title: str) -> None:
    said = message(title, alert())
    assert said == "[CRITICAL] HighErrorRate: orders in apps (acme-shop-dev)"
    assert message(title, alert(**RESOLVED)).startswith("[RESOLVED] HighErrorRate")
    # A chart's alert: its service is that of kube-state-metrics.
    chart = {"groupLabels": {**LABELS, "service": "ksm"}, "commonLabels": {"severity": "warning"}}
    assert message(title, alert(), **chart) == "[WARNING] HighErrorRate in apps"
    bare = {"groupLabels": {"alertname": "New"}, "commonLabels": {"alertname": "New"}}
    assert message(title, alert(), **bare) == "[FIRING] New"


@pytest.mark.slow
@TEXTS
def test_a_text_says_what_since_when_and_what_to_do(message: Callable[..., str], text: str) -> None:
    said = message(text, alert(7))
    for part in ("1 firing", "7 % of requests fail", "since 2026-01-02 03:04:05 UTC, for "):
        assert part in said.replace("Since", "since").replace("FIRING", "firing"), said
    links = re.findall(r"https?://[^\s|>]+", said)
    if text.startswith("slack"):
        assert re.findall(r"\|(\w+)>", said) == ["Runbook", "Dashboard", "Query", "Silence"]
        links = [link.replace("&amp;", "&") for link in links]
    given = alert()
    runbook, dashboard, query, silence = links
    assert runbook == given["annotations"]["runbook_url"]
    assert dashboard == given["annotations"]["dashboard_url"]
    assert query == given["generatorURL"]
    form, _, matchers = silence.partition("/#/silences/new?filter=")
    assert form == "http://localhost:9093"
    assert unquote(matchers) == '{alertname="HighErrorRate",namespace="apps",service="orders"}'


@pytest.mark.slow
@TEXTS
def test_a_silence_is_for_any_value_of_a_label(message: Callable[..., str], text: str) -> None:
    said = message(text, alert(), groupLabels={"a": 'x "y" & z+|>é'})
    (link,) = re.findall(r"filter=([\w%.~-]+)[|\s]", said)
    assert unquote(link) == '{a="x \\"y\\" & z+|>é"}'


@pytest.mark.slow
@TEXTS
def test_what_is_over_is_told_apart(message: Callable[..., str], text: str) -> None:
    said = message(text, alert(1), alert(2, **RESOLVED)).lower()
    firing, resolved = said.split("1 resolved")
    assert "1 firing" in firing and "1 % of" in firing and "2 % of" not in firing
    assert "lasted 1h 1m 1s, until 2026-01-02 04:05:06 utc." in resolved
    assert "firing" not in message(text, alert(**RESOLVED)).lower()


@pytest.mark.slow
@TEXTS
def test_many_alerts_are_cut_and_counted(message: Callable[..., str], text: str) -> None:
    ten = message(text, *map(alert, range(10)))
    assert ten.count("% of requests") == 10 and not re.search(r"nd \d+ more", ten)
    said = message(text, *map(alert, range(50)))
    assert said.count("% of requests") == 10 and "nd 40 more" in said
    assert "50 firing" in said.lower() and "ilence" in said and len(said) < 4000


@pytest.mark.slow
def test_slack_takes_nothing_for_markup(message: Callable[..., str]) -> None:
    annotations = {"summary": "<!channel> & <http://evil|x>", "description": "a < b"}
    said = message("slack.default.text", alert(annotations=annotations))
    assert "*&lt;!channel&gt; &amp; &lt;http://evil|x&gt;*\na &lt; b\n" in said
    colors = {
        severity: message("slack.default.color", alert(), commonLabels={"severity": severity})
        for severity in ("critical", "warning")
    }
    assert colors == {"critical": "danger", "warning": "warning"}
    assert message("slack.default.color", alert(**RESOLVED)) == "good"
    link = message("slack.default.titlelink", alert())
    assert link == alert()["annotations"]["dashboard_url"]


@pytest.mark.slow
@TEXTS
def test_an_alert_without_annotations_makes_a_message_too(
    message: Callable[..., str], text: str
) -> None:
    said = message(text, alert(annotations={}, generatorURL=""))
    assert "HighErrorRate" in said and "ilence" in said and "unbook" not in said


# ---------------------------------------------------------------------------------- inhibition


class Alertmanager:
    """A real Alertmanager with the shipped configuration, and no way out."""

    def __init__(self, port: int) -> None:
        self.port = port

    def call(self, method: str, path: str, body: object = None) -> bytes:
        """Ask the API."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            headers = {"Content-Type": "application/json"}
            connection.request(method, path, json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
        assert answer.status == 200, text
        return text

    def held_back(self, *alerts: dict[str, str]) -> set[str]:
        """Post alerts; return the names of those that others hold back. Then they are over."""
        self.call("POST", "/api/v2/alerts", [{"labels": labels} for labels in alerts])
        before: set[str] | None = None
        while True:
            time.sleep(0.2)
            found = json.loads(self.call("GET", "/api/v2/alerts"))
            now = {
                entry["labels"]["alertname"] for entry in found if entry["status"]["inhibitedBy"]
            }
            if now == before and len(found) == len(alerts):
                break
            before = now
        over = [{"labels": labels, "endsAt": "2026-01-02T03:04:05Z"} for labels in alerts]
        self.call("POST", "/api/v2/alerts", over)
        return now


@contextlib.contextmanager
def started(
    repository: Path, tools: Tools, folder: Path, **options: object
) -> Iterator[Alertmanager]:
    """Start Alertmanager as it starts in a cluster, but for what localAlertmanager changes."""
    local = (
        "import('./checks/lib/alertmanager.js')"
        f".then((m) => console.log(m.localAlertmanager({json.dumps(options)})))"
    )
    text = run(tools.path("node"), "--eval", local, cwd=repository).stdout
    (folder / "alertmanager.yaml").write_text(text, encoding="utf-8")
    made = Alertmanager(free_port())
    listen = f"--web.listen-address=127.0.0.1:{made.port}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(tools.path("alertmanager"), "--config.file=alertmanager.yaml"),
                *(listen, "--cluster.listen-address="),
            ],
            cwd=folder, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        latest = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                made.call("GET", "/-/ready")
                break
            said = (folder / "log").read_text("utf-8")
            assert process.poll() is None and time.monotonic() < latest, said
            time.sleep(0.1)
        yield made
    finally:
        end(process)


@pytest.fixture(scope="module")
def alertmanager(
    deployable: Deployable, tools: Tools, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Alertmanager]:
    """Alertmanager as it starts in a cluster, but for the folder of its templates."""
    with started(deployable(), tools, tmp_path_factory.mktemp("alertmanager")) as made:
        yield made


def of(service: str, **labels: str) -> dict[str, str]:
    """Return the labels of an alert of ours about a service."""
    return {"namespace": "apps", "service": service, "team": "acme-shop", **labels}


def page(name: str, **labels: str) -> dict[str, str]:
    """Return the labels of a critical alert."""
    return {"alertname": name, "severity": "critical", **labels}


def ticket(name: str, **labels: str) -> dict[str, str]:
    """Return the labels of a warning."""
    return {"alertname": name, "severity": "warning", **labels}


KSM = {"service": "kube-prometheus-stack-kube-state-metrics"}
INHIBITIONS: dict[str, tuple[list[dict[str, str]], set[str]]] = {
    "a page holds back the tickets of its service alone": (
        [
            page("HighErrorRate", **of("orders")),
            page("HighLatency", **of("orders")),
            ticket("ErrorBudgetBurn", **of("orders")),
            ticket("PodRestarting", **of("payments")),
            ticket("TargetDown", namespace="apps", service="orders", job="orders"),
        ],
        {"ErrorBudgetBurn", "TargetDown"},
    ),
    "a service that is down is one page": (
        [
            page("ServiceDown", **of("orders")),
            page("HighErrorRate", **of("orders")),
            page("TrafficDropped", **of("orders")),
            ticket("PodNotScraped", **of("orders")),
            page("HighLatency", **of("payments")),
        ],
        {"HighErrorRate", "TrafficDropped", "PodNotScraped"},
    ),
    "a service that is not looked for is one page": (
        [page("ServiceNotScraped", **of("orders")), page("TrafficDropped", **of("orders"))],
        {"TrafficDropped"},
    ),
    "a page without a service holds nothing back": (
        [
            page("KubeAPIDown"),
            ticket("KubeVersionMismatch"),
            page("NodeFilesystemAlmostOutOfSpace", namespace="kube-system", instance="a"),
            ticket("NodeClockSkewDetected", namespace="kube-system", instance="a"),
        ],
        set(),
    ),
    "a page of a chart holds back no other trouble that kube-state-metrics sees": (
        [
            page("KubeJobStuck", namespace="apps", **KSM),
            ticket("KubePodCrashLooping", namespace="apps", **KSM, pod="orders-1"),
        ],
        set(),
    ),
    "of a pod that crashes the team is told, of others the platform": (
        [
            ticket("PodCrashLooping", **of("orders"), pod="orders-1"),
            ticket("KubePodCrashLooping", namespace="apps", **KSM, pod="orders-1"),
        ],
        {"KubePodCrashLooping"},
    ),
    "a pod that crashes holds back no other pod": (
        [
            ticket("PodCrashLooping", **of("orders"), pod="orders-1"),
            ticket("KubePodCrashLooping", namespace="apps", **KSM, pod="migration-1"),
            ticket("KubePodCrashLooping", namespace="kyverno", **KSM, pod="orders-1"),
        ],
        set(),
    ),
    "of a pod that is not scraped the team is told": (
        [
            ticket("PodNotScraped", **of("orders"), pod="orders-1"),
            ticket("TargetDown", namespace="apps", service="orders", job="orders"),
        ],
        {"TargetDown"},
    ),
    "of other targets the platform is told": (
        [
            ticket("PodNotScraped", **of("orders"), pod="orders-1"),
            ticket("TargetDown", namespace="apps", service="payments", job="payments"),
            ticket("KubeStateMetricsMissing", namespace="monitoring", service="kube-state-metrics"),
            ticket("TargetDown", namespace="monitoring", service="grafana", job="grafana"),
        ],
        set(),
    ),
    "that kube-state-metrics is missing is told once": (
        [
            ticket("KubeStateMetricsMissing", namespace="monitoring", service="kube-state-metrics"),
            ticket("TargetDown", namespace="monitoring", **KSM, job="kube-state-metrics"),
        ],
        {"TargetDown"},
    ),
    "of two severities of one alert the worse is told": (
        [
            page("KubePersistentVolumeFillingUp", namespace="a", persistentvolumeclaim="x"),
            ticket("KubePersistentVolumeFillingUp", namespace="a", persistentvolumeclaim="x"),
        ],
        {"KubePersistentVolumeFillingUp"},
    ),
    "of two volumes both are told": (
        [
            page("KubePersistentVolumeFillingUp", namespace="a", persistentvolumeclaim="x"),
            ticket("KubePersistentVolumeFillingUp", namespace="a", persistentvolumeclaim="y"),
        ],
        set(),
    ),
    "information alone is held back": (
        [
            {"alertname": "InfoInhibitor", "severity": "none", "namespace": "apps"},
            {"alertname": "CPUThrottlingHigh", "severity": "info", "namespace": "apps"},
            {"alertname": "KubeQuotaAlmostFull", "severity": "info", "namespace": "other"},
        ],
        {"CPUThrottlingHigh"},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", INHIBITIONS)
def test_alertmanager_holds_back_what_follows_from_a_page(
    alertmanager: Alertmanager, what: str
) -> None:
    alerts, held_back = INHIBITIONS[what]
    assert alertmanager.held_back(*alerts) == held_back


def test_an_alert_of_the_chart_comes_after_the_one_that_holds_it_back(default_repo: Path) -> None:
    """Else it would be told before Alertmanager knows of the other one."""
    waits = {
        rule["alert"]: int(rule["for"].removesuffix("m"))
        for file in (default_repo / "monitoring/rules").glob("alerts-*.yaml")
        for rule in yaml.safe_load(file.read_text("utf-8"))["spec"]["groups"][0]["rules"]
        if rule.get("for", "").endswith("m")
    }
    values = default_repo / "deploy/platform/kube-prometheus-stack/values.yaml"
    chart = yaml.safe_load(values.read_text("utf-8"))["kube-prometheus-stack"]["customRules"]
    pairs = {
        (matchers["source"], matchers["target"])
        for rule in config(default_repo)["inhibit_rules"]
        if (matchers := {end: named(rule[f"{end}_matchers"]) for end in ("source", "target")})
        and matchers["target"] in chart
    }
    assert {target for _, target in pairs} == set(chart)
    for source, target in pairs:
        # A minute until the recorded series and the alert are evaluated, and half a one to group.
        later = int(chart[target]["for"].removesuffix("m")) - waits[source]
        assert later >= 2, f"{target} must wait longer than {source}"


def named(matchers: list[str]) -> str:
    """Return the one alert that matchers name, or nothing."""
    names = [match[1] for each in matchers if (match := re.fullmatch(r"alertname = (\w+)", each))]
    return names[0] if names else ""


# ------------------------------------------------------------------------------- how often

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SAID = {"every two minutes": 120, "every hour": 3600, "every day": 86400}


def seconds(duration: str) -> int:
    """Return a duration of Prometheus, like 23h57m, in seconds."""
    return sum(
        int(number) * SECONDS[unit] for number, unit in re.findall(r"(\d+)([smhd])", duration)
    )


def repeated(route: Object, looks: str) -> int:
    """Return after how many seconds a message of a route comes again.

    Alertmanager looks once in each group_interval. A message has gone out a little after the look at
    which it was due, so a repeat_interval that ends with a look is over at that one or at the next.
    """
    every, least = seconds(route.get("group_interval", looks)), seconds(route["repeat_interval"])
    assert every * 0.1 < least % every < every * 0.9, (
        f"repeat_interval {route['repeat_interval']} ends with a look of every {every} s"
    )
    return (least // every + 1) * every


@EACH
def test_messages_come_again_as_often_as_the_document_says(bake: Bake, notifications: str) -> None:
    repository = bake(notifications=notifications)
    document = (repository / "docs/alerting.md").read_text("utf-8")
    rows = re.findall(r"^\| (.+?) \| .+ \| (every .+) \|$", document, re.M)
    said = {name: SAID[often] for name, often in rows}
    root = config(repository)["route"]
    looks = root["group_interval"]
    watchdog, _, team, critical = root["routes"]
    assert said == {
        "`critical` of a team's service": repeated(team["routes"][0], looks),
        "`warning` of a team's service": repeated(root, looks),
        "`critical` of anything else, or of an unknown team": repeated(critical, looks),
        "`warning` of anything else": repeated(root, looks),
        "`Watchdog`": repeated(watchdog, looks),
    }
    # The team to add.
    (added,) = re.findall(r"repeat_interval: (\S+)", document)
    assert repeated({"repeat_interval": added}, looks) == said["`critical` of a team's service"]


@pytest.mark.slow
def test_the_heartbeat_comes_every_two_minutes(
    deployable: Deployable, tools: Tools, tmp_path: Path
) -> None:
    """With an Alertmanager for which each minute is a second."""
    came: list[float] = []

    class Heartbeat(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(time.monotonic())
            time.sleep(0.1)  # As far away as a real one.
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Heartbeat) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        secrets = tmp_path / "secrets"
        secrets.mkdir()
        for name in ("slack-webhook-url", "heartbeat-url"):
            address = f"http://127.0.0.1:{server.server_port}/{name}"
            (secrets / name).write_text(address, encoding="utf-8")
        options = {"secrets": str(secrets), "faster": 60}
        with started(deployable(), tools, tmp_path, **options) as alertmanager:
            watchdog = {"alertname": "Watchdog", "severity": "none", "team": "platform"}
            alertmanager.call("POST", "/api/v2/alerts", [{"labels": watchdog}])
            time.sleep(11)
        server.shutdown()
    between = [round(later - earlier) for earlier, later in itertools.pairwise(came)]
    assert between[:4] == [2] * 4, f"the heartbeat came after {between} minutes"


# ------------------------------------------------------------------------------------ refusals

BROKEN = {
    "an address": (CONFIG, "to: \"oncall@example.com\"", "to: oncall", "must be an email address"),
    "a sender": (CONFIG, 'smtp_from: "oncall@example.com"', "smtp_from: alerts@", "must be an email address"),
    "a channel": (CONFIG, '"#alerts"', '"Alerts"', "must be a Slack channel"),
    "a placeholder": (CONFIG, "$(SMTP_USERNAME)", "replace-with-the-user-name", "write what it stands for"),
    "a secret": (CONFIG, "smtp_auth_password_file: /etc/alertmanager/secrets/alertmanager-notifications/smtp-password", "smtp_auth_password: hunter2", "write smtp_auth_password_file:"),
    "a secret in a file that is not there": (CONFIG, "alertmanager-notifications/slack", "slack/slack", "must be /etc/alertmanager/secrets/alertmanager-notifications/KEY"),
    "a receiver": (CONFIG, "receivers:\n", "receivers:\n  - name: pager\n", 'write a route with "receiver: pager"'),
    "a mail server": (CONFIG, ".amazonaws.com:587", ".amazonaws.com", "address"),
    "a time": (CONFIG, "repeat_interval: 23h57m", "repeat_interval: 1 day", 'in duration "1 day"'),
    "a matcher": (CONFIG, 'team = "acme-shop"', 'team == "acme-shop"', "matcher value"),
    "templates": (CONFIG, "/etc/alertmanager/config/*.tmpl", "templates/*.tmpl", "must be /etc/alertmanager/config/*.tmpl"),
    "a template": ("monitoring/alertmanager/templates/common.tmpl", "{{- with .GroupLabels.namespace }}", "{{- with .GroupLabels.namespace }", "unexpected"),
    "a field": ("monitoring/alertmanager/templates/email.tmpl", ".GeneratorURL", ".GeneratorUrl", "email.text:"),
    "another route": (CONFIG, 'team = "acme-shop"', 'team = "shop"', "a page about a service: goes to platform-critical, and should go to team-acme-shop-critical"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("what", BROKEN)
def test_what_would_not_arrive_is_refused(
    deployable: Deployable, tmp_path: Path, what: str
) -> None:
    path, old, new, message = BROKEN[what]
    copy = tmp_path / "acme-shop"
    shutil.copytree(deployable(notifications="slack-and-email"), copy, symlinks=True)
    text = (copy / path).read_text(encoding="utf-8")
    assert old in text, f"{path} holds no {old!r}"
    (copy / path).write_text(text.replace(old, new, 1), encoding="utf-8")
    assert message in lint(copy)


# ------------------------------------------------------------------------------------ documents


@pytest.mark.slow
@EACH
def test_adding_a_team_as_documented_tells_it(
    deployable: Deployable, tmp_path: Path, notifications: str
) -> None:
    repository = tmp_path / "acme-shop"
    shutil.copytree(deployable(notifications=notifications), repository, symlinks=True)
    text = (repository / "docs/alerting.md").read_text(encoding="utf-8")
    section = text.split("## Add a team\n")[1].split("\n## ")[0]
    steps = re.findall(r"^(\S[^`]*(?:`[^`\n]+`[^`]*)+)\n\n```yaml\n(.+?)```", section, re.M | re.S)
    assert len(steps) == (4 if "slack" in notifications else 3), steps
    file = ""
    for words, snippet in steps:
        named = re.findall(r"`([^`]+)`", words)
        file = next((name for name in named if "/" in name), file)
        path = repository / file
        before = path.read_text(encoding="utf-8")
        place = named[-1] if named[-1].endswith(":") else ""
        line = re.search(rf"^ *{place}$\n" if place else r"\Z", before, re.M)
        assert line, f"{file} has no line {place}"
        after = before[: line.end()] + snippet + before[line.end() :]
        path.write_text(after, encoding="utf-8")
    assert lint(repository) == ""
    test = ["node", "--test", "alertmanager.test.js"]
    run(*test, cwd=repository / "checks", path=fetch.commands())
    # What the document warns of: without the secret it is refused.
    if "slack" in notifications:
        secrets = repository / "deploy/platform-config/base/notification-secrets.yaml"
        left = secrets.read_text("utf-8").replace(
            "secretKey: slack-webhook-url-pay", "secretKey: x"
        )
        secrets.write_text(left, encoding="utf-8")
        result = run(*test, cwd=repository / "checks", path=fetch.commands(), check=False)
        assert "has no secretKey slack-webhook-url-payments" in result.stdout


@EACH
def test_the_secret_to_make_has_the_keys_that_are_read(
    deployable: Deployable, notifications: str
) -> None:
    repository = deployable(notifications=notifications)
    text = (repository / "docs/alerting.md").read_text(encoding="utf-8")
    documented = json.loads(text.split("```json\n")[1].split("```")[0])
    table = (repository / "docs/bootstrap.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| `acme-shop/ENV/notifications` \| (.+?) \|", table, re.M)
    read = {
        entry["remoteRef"]["property"]
        for found in objects(render(repository, "dev"))
        if found["kind"] == "ExternalSecret"
        for entry in found["spec"]["data"]
        if entry["remoteRef"]["key"] == "acme-shop/dev/notifications"
    }
    assert documented.keys() == read == set(re.findall(r"`([^`]+)`", row))
