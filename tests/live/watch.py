"""Prometheus, Alertmanager and kube-state-metrics watch the live cluster, as the generated files say.

Their images are out of reach, so each program runs in the network of a pod that has the labels and
ports of the real one: the network policies judge it. Prometheus' own operator turns the monitors and
rules in the cluster into its configuration.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import re
import time
import urllib.parse
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from deploy.test_network import ACTORS
from live.cluster import RECEIVER, Cluster, LiveError, sh, until
from live.steps import SOURCE, Live, Object, pod_of
from monitoring.dashboards import expressions
from support import run

from tools import fetch

# As in the chart that the generated repository installs.
STATE = "kube-prometheus-stack-kube-state-metrics"
KUBELET = "kube-system/kube-prometheus-stack-kubelet"
PROMETHEUS = "kube-prometheus-stack-prometheus"
# An address that no Service is given by itself.
PROMETHEUS_ADDRESS = "10.96.0.90"
# The receiver of `make rehearse`, at an address that Slack could have.
RECEIVE = """
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { appendFileSync } from 'node:fs';
createServer(async (request, response) => {
  const line = { channel: request.url.slice(1), at: Date.now(), message: await json(request) };
  appendFileSync(process.argv[1], `${JSON.stringify(line)}\\n`);
  response.end('ok');
}).listen(443, '203.0.113.8');
"""
CONFIGURE = """
const { localAlertmanager } = await import(`${process.cwd()}/checks/lib/alertmanager.js`);
const [secrets, smarthost] = process.argv.slice(1);
process.stdout.write(localAlertmanager({ secrets, username: 'live', smarthost }));
"""


def get(url: str, **parameters: object) -> Any:  # noqa: ANN401 - whatever the API answers
    query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}{query}", timeout=30) as response:
        return json.load(response)


class Watch:
    """What watches a live cluster."""

    def __init__(self, live: Live, cluster: Cluster) -> None:
        self.live = live
        self.cluster = cluster
        self.home = live.home / "monitoring"
        self.home.mkdir()
        self.failing = contextlib.ExitStack()
        self.failing_since = 0.0
        self.places: dict[str, tuple[str, list[str]]] = {}

    def place(self, actor: str) -> tuple[str, list[str]]:
        """Return address and network of a pod like that of a part, which does nothing."""
        if actor not in self.places:
            name = f"live-{ACTORS[actor].labels['app.kubernetes.io/name']}"
            made = pod_of(self.cluster.probe_image, name, ACTORS[actor], idle=True)
            self.cluster.apply(made)
            options = (f"pod/{name}", f"--namespace={ACTORS[actor].namespace}")
            self.cluster.kubectl("wait", "--for=condition=Ready", *options, "--timeout=50s")
            found = self.cluster.get(*options)
            network = f"--net=/proc/{self.cluster.pid(found)}/ns/net"
            self.places[actor] = (found["status"]["podIP"], ["nsenter", network])
        return self.places[actor]

    @property
    def kubeconfig(self) -> Path:
        """Credentials for a pod, which reaches the API server by its Service."""
        file = self.home / "kubeconfig"
        config = json.loads(self.cluster.kubeconfig.read_text("utf-8"))
        config["clusters"][0]["cluster"]["server"] = "https://10.96.0.1:443"
        file.write_text(json.dumps(config), encoding="utf-8")
        return file

    # ------------------------------------------------------------------------ start

    def start(self) -> str:
        """Start everything, and wait until all pods of the service are scraped."""
        started = time.monotonic()
        self._start_receivers()
        self._start_state_metrics()
        self._start_alertmanager()
        self._start_prometheus()
        wanted = {
            entry["metadata"]["name"]
            for entry in self.live.pods(selector="app.kubernetes.io/name=orders")
        }
        # A first scrape may come too early, and the next is 30 s later.
        end = time.monotonic() + 150
        while (behind := self._not_scraped(wanted)) and time.monotonic() < end:
            time.sleep(0.5)
        if behind:
            raise LiveError("not scraped within 150 s:\n" + "\n".join(behind))
        self.live.figures["monitoring to first scrape"] = time.monotonic() - started
        return (
            f"{len(wanted)} pods are scraped as the ServiceMonitor says, and what the chart would"
        )

    def _not_scraped(self, pods: set[str]) -> list[str]:
        """Return a line for each target that doesn't answer, and each that isn't one yet."""
        targets = get(f"{self.prometheus}/api/v1/targets", state="active")["data"]["activeTargets"]
        labels = [each["labels"] for each in targets]
        jobs = {"orders", "kubelet", "kube-state-metrics"}
        missing = sorted(jobs - {each["job"] for each in labels})
        missing += sorted(pods - {each["pod"] for each in labels if each["job"] == "orders"})
        return [f"{name} is not among the targets" for name in missing] + [
            f"{each['scrapeUrl']} ({each['labels']['job']}): {each['lastError'] or each['health']}"
            for each in targets
            if each["health"] != "up"
        ]

    def _start_receivers(self) -> None:
        outside = ["nsenter", f"--net=/proc/{self.cluster.outside}/ns/net"]
        self.slack = self.home / "slack.jsonl"
        self.slack.touch()
        node = str(fetch.program("node"))
        receive = [node, "--input-type=module", "-e", RECEIVE, str(self.slack)]
        self.cluster.start("receiver", [*outside, *receive])
        self.cluster.start(
            "mailpit",
            [*outside, str(fetch.program("mailpit")), f"--smtp={RECEIVER}:587"]
            + [f"--listen={RECEIVER}:8025", f"--database={self.home / 'mail.db'}"]
            + ["--smtp-auth-accept-any", "--smtp-auth-allow-insecure", "--disable-version-check"],
        )

    def _start_state_metrics(self) -> None:
        address, network = self.place("kube-state-metrics")
        self.cluster.start(
            "kube-state-metrics",
            [*network, str(fetch.program("kube-state-metrics")), f"--kubeconfig={self.kubeconfig}"]
            + ["--port=8080", "--telemetry-port=8081"]
            + ["--metric-labels-allowlist=pods=[app.kubernetes.io/name],services=[team]"],
        )
        labels = {"app.kubernetes.io/name": "kube-state-metrics"}
        metadata = {"name": STATE, "namespace": "monitoring", "labels": labels}
        port = {"name": "http", "port": 8080}
        self.cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": metadata,
                "spec": {"ports": [port]},
            },
            {
                "apiVersion": "v1",
                "kind": "Endpoints",
                "metadata": metadata,
                "subsets": [{"addresses": [{"ip": address}], "ports": [port]}],
            },
            monitor(STATE, labels, "monitoring", "app.kubernetes.io/name", {"port": "http"}),
        )

    def _start_alertmanager(self) -> None:
        secrets = self.home / "secrets"
        secrets.mkdir()
        for name, text in {
            "slack-webhook-url": f"http://{RECEIVER}:443/slack",
            "heartbeat-url": f"http://{RECEIVER}:443/heartbeat",
            "smtp-password": "live",
        }.items():
            (secrets / name).write_text(text, encoding="utf-8")
        config = self.home / "alertmanager.yaml"
        node = str(fetch.program("node"))
        command = (node, "--input-type=module", "-e", CONFIGURE, str(secrets), f"{RECEIVER}:587")
        config.write_text(run(*command, cwd=self.live.checkout.path).stdout, encoding="utf-8")
        address, network = self.place("Alertmanager")
        self.alertmanager = f"{address}:9093"
        self.cluster.start(
            "alertmanager",
            [*network, str(fetch.program("alertmanager")), f"--config.file={config}"]
            + [f"--storage.path={self.home / 'alertmanager'}", "--cluster.listen-address="],
        )

    def _start_prometheus(self) -> None:
        self.cluster.start(
            "prometheus-operator",
            [str(fetch.program("prometheus-operator")), f"--kubelet-service={KUBELET}"]
            + ["--kubelet-endpoints=true", "--web.listen-address=127.0.0.1:0"],
            {"KUBECONFIG": str(self.cluster.kubeconfig)},
        )
        every: Object = {
            f"{kind}{what}": {}
            for kind in ("serviceMonitor", "podMonitor", "rule")
            for what in ("Selector", "NamespaceSelector")
        }
        kubelet = {
            "port": "https-metrics",
            "scheme": "https",
            "path": "/metrics/cadvisor",
            "tlsConfig": {"insecureSkipVerify": True},
            "relabelings": [
                {
                    "action": "replace",
                    "sourceLabels": ["__metrics_path__"],
                    "targetLabel": "metrics_path",
                }
            ],
        }
        cluster = {"cluster": "acme-shop-dev"}
        self.cluster.apply(
            monitor("kubelet", {"k8s-app": "kubelet"}, "kube-system", "k8s-app", kubelet),
            {
                "apiVersion": "monitoring.coreos.com/v1",
                "kind": "Prometheus",
                "metadata": {"name": "live", "namespace": "monitoring"},
                "spec": {**every, "externalLabels": cluster, "replicas": 0},
            },
        )

        def made() -> tuple[Object, Object] | None:
            secret = self.cluster.kubectl(
                *("get", "secret", "prometheus-live", "--namespace=monitoring", "--output=json"),
                check=False,
            )
            rules = self.cluster.kubectl(
                *(
                    "get",
                    "configmap",
                    "prometheus-live-rulefiles-0",
                    "--namespace=monitoring",
                    "--output=json",
                ),
                check=False,
            )
            if secret.returncode or rules.returncode:
                return None
            packed = json.loads(secret.stdout)["data"]["prometheus.yaml.gz"]
            text = gzip.decompress(base64.b64decode(packed)).decode()
            # What the pod would fill in.
            text = text.replace("$(SHARD)", "0").replace("$(POD_NAME)", "prometheus-live-0")
            config = yaml.safe_load(text)
            names = {each["job_name"] for each in config["scrape_configs"]}
            return (config, json.loads(rules.stdout)["data"]) if len(names) >= 3 else None

        config, rules = until("the operator's configuration", made, 60)
        folder = self.home / "rules"
        folder.mkdir()
        for name, text in rules.items():
            (folder / name).write_text(text, encoding="utf-8")
        config["rule_files"] = [f"{folder}/*.yaml"]
        config["alerting"] = {
            "alertmanagers": [{"static_configs": [{"targets": [self.alertmanager]}]}]
        }
        for job in config["scrape_configs"]:
            for discovery in job.get("kubernetes_sd_configs", []):
                discovery["kubeconfig_file"] = str(self.kubeconfig)
        (self.home / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        address, network = self.place("Prometheus")
        self.prometheus = f"http://{address}:9090"
        self.cluster.start(
            "prometheus",
            [
                *network,
                str(fetch.program("prometheus-in-cluster")),
                "--enable-feature=exemplar-storage",
            ]
            + [
                f"--config.file={self.home / 'prometheus.yaml'}",
                f"--storage.tsdb.path={self.home / 'data'}",
            ],
        )
        until("Prometheus is ready", lambda: self.query("vector(1)"), 60)

    # ------------------------------------------------------------------------ canaries

    def start_rollouts(self) -> str:
        """Start the controller of Rollouts, which asks Prometheus by the name in the template."""
        # There is no DNS; in this mount namespace, which is our own, a file does.
        hosts = self.home / "hosts"
        known = Path("/etc/hosts").read_text(encoding="utf-8")
        line = f"{PROMETHEUS_ADDRESS} {PROMETHEUS}.monitoring\n"
        hosts.write_text(f"{known}\n{line}", encoding="utf-8")
        sh("mount", "--bind", hosts, "/etc/hosts")
        self.cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": PROMETHEUS, "namespace": "monitoring"},
                "spec": {
                    "clusterIP": PROMETHEUS_ADDRESS,
                    "ports": [{"name": "http-web", "port": 9090}],
                    "selector": ACTORS["Prometheus"].labels,
                },
            }
        )
        _, network = self.place("Argo Rollouts")
        self.cluster.start(
            "argo-rollouts",
            [*network, str(fetch.program("argo-rollouts")), f"--kubeconfig={self.kubeconfig}"]
            + ["--namespace=argo-rollouts", "--leader-elect=false"],
        )
        return f"Argo Rollouts {fetch.TOOLS['argo-rollouts'].version}, behind its network policies"

    def good_canary(self) -> str:
        """Push a change that is as good; it goes through its steps, and its analysis judges it."""
        text = (self.live.checkout.path / "services/orders" / SOURCE).read_text("utf-8")
        with self.cluster.load(f"http://{self.live.address()}/v1/greetings/Ada", 4) as report:
            time.sleep(2)
            files = {SOURCE: f"{text}// Changed\n"}
            digest = self.live.change("good", files, "Change the service")
            pushed = time.monotonic()
            self.live.argocd.refresh()
            until("the new version has all", lambda: self.live.rolled_out(digest), 1200)
            self.live.figures["push to a good canary everywhere"] = time.monotonic() - pushed
        [(phase, judged)] = self.analyses()
        if phase != "Successful" or not all(judged.values()):
            raise LiveError(f"the analysis is {phase}; answers about the canary: {judged}")
        shown = ", ".join(f"{name} {count} times" for name, count in judged.items())
        return f"judged by Prometheus ({shown}): {self.live.no_failure(report)}"

    def bad_canary(self) -> str:
        """Push a change that answers with errors; it goes back without anybody's help."""
        live = self.live
        before = live.released()
        stable = live.cluster.get(live.workload, "orders", "--namespace=apps")["status"]["stableRS"]
        text = (live.checkout.path / "services/orders" / SOURCE).read_text("utf-8")
        broken = text.replace("return { message", 'throw new Error("Broken"); return { message')
        with self.cluster.load(f"http://{live.address()}/v1/greetings/Ada", 4) as report:
            live.change("broken", {SOURCE: broken}, "Break the service")
            pushed = time.monotonic()
            live.argocd.refresh()

            def back() -> bool:
                found = live.cluster.get(live.workload, "orders", "--namespace=apps")["status"]
                pods = live.pods(selector="app.kubernetes.io/name=orders")
                images = {each["spec"]["containers"][0]["image"] for each in pods}
                return bool(
                    found.get("abort")
                    and found["phase"] == "Degraded"
                    and all(image.endswith(before) for image in images)
                )

            until("the bad version has gone back", back, 900)
            live.figures["push to a bad canary gone back"] = time.monotonic() - pushed
            live.argocd.wait(
                "Argo CD shows the service as degraded",
                60,
                lambda: live.status("apps-orders", "health", "status") == "Degraded",
            )
        results = report["results"]
        failed = {
            each["metric"]["rollouts_pod_template_hash"]: float(each["value"][1])
            for each in self.query(
                "sum by (rollouts_pod_template_hash)"
                '(increase(http_requests_total{status_code=~"5.."}[15m])) > 0'
            )
        }
        answered = all(re.fullmatch("200|5..", result) for result in results)
        if not answered or not failed or stable in failed:
            raise LiveError(f"requests: {results}, failures by version: {failed}; old: {stable}")
        live.revert(2)
        until("the revert is healthy", lambda: live.rolled_out(before), 180)
        every = sum(results.values())
        share = 1 - results["200"] / every
        return (
            f"Argo Rollouts took it back, then a revert made it healthy; of {every:,} requests "
            f"{share:.0%} failed, all in the canary's pod"
        )

    def analyses(self) -> list[tuple[str, dict[str, int]]]:
        """Return each analysis: its phase, and how often each metric had an answer."""
        found = self.cluster.get("analysisruns.argoproj.io", "--namespace=apps")["items"]
        return [
            (
                run["status"]["phase"],
                {
                    metric["name"]: sum(
                        each.get("value", "[]") != "[]" for each in metric.get("measurements", [])
                    )
                    for metric in run["status"].get("metricResults", [])
                },
            )
            for run in found
        ]

    # ------------------------------------------------------------------------ questions

    def query(self, expr: str) -> list[Object]:
        """Return what Prometheus answers to a query now; nothing while it starts."""
        with contextlib.suppress(OSError):
            answer = get(f"{self.prometheus}/api/v1/query", query=expr)
            result: list[Object] = answer["data"]["result"]
            return result
        return []

    def dashboards(self) -> str:
        """Ask Prometheus every expression of every dashboard, while requests come in."""
        path = self.live.checkout.programs
        asked = [each for each in expressions(self.live.checkout.path, path) if not each.filled_by]
        # What is usual takes a day to learn.
        every = [each for each in asked if ":band_" not in each.expr]
        empty = every
        last = every[-1]
        with self.live.cluster.load(f"http://{self.live.address()}/v1/greetings/Ada"):
            end = time.monotonic() + 240
            while empty and time.monotonic() < end:
                time.sleep(3)
                last = empty[-1]
                empty = [each for each in empty if not self.query(each.expr)]
        if empty:
            shown = "\n".join(
                f"{each.dashboard}, {each.title} {each.ref}: {each.expr}" for each in empty
            )
            raise LiveError(f"{len(empty)} of {len(every)} expressions have no data:\n{shown}")
        return (
            f"{len(every)} expressions have data, the last was {last.dashboard}, {last.title}; "
            f"{len(asked) - len(every)} need a day of it"
        )

    def fail(self) -> str:
        """Let requests fail until somebody is told."""
        self.cluster.enter(self.failing)
        self.failing_since = time.time()
        url = f"http://{self.live.address()}/faults/status/500"
        self.failing.enter_context(self.cluster.load(url, connections=2))
        return "they are answered with 500 until the page"

    def page(self) -> str:
        """Wait for the page in Slack and by email."""
        slack = until("the page in Slack", lambda: self.told("CRITICAL] HighErrorRate"), 420)
        until("the page by email", lambda: self.letters("CRITICAL] HighErrorRate"), 60)
        self.failing.close()
        told = [each["at"] / 1000 - self.failing_since for each in slack]
        self.live.figures["fault to page in Slack"] = told[0]
        [letter] = self.letters("CRITICAL] HighErrorRate")
        arrived = datetime.fromisoformat(letter["Created"]).timestamp()
        self.live.figures["fault to page by email"] = arrived - self.failing_since
        return f"{slack[0]['title']}, {told[0]:.0f} s after the first failed request"

    def crash_looping(self) -> list[Object]:
        """Return the pods that Prometheus knows to crash again and again."""
        return self.query(
            'kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"} == 1'
        )

    def out_of_memory(self) -> str:
        """Let the kernel end a pod that uses too much memory; kube-state-metrics tells."""
        pods = self.live.pods(selector="app.kubernetes.io/name=orders")
        name, address = pods[0]["metadata"]["name"], pods[0]["status"]["podIP"]
        request = urllib.request.Request(f"http://{address}:8080/faults/memory/400", method="POST")
        with contextlib.suppress(OSError):
            urllib.request.urlopen(request, timeout=30).close()  # noqa: S310
        alert = f'ALERTS{{alertname="PodOOMKilled", pod="{name}", alertstate="firing"}}'
        until("PodOOMKilled fires", lambda: self.query(alert), 180)
        return (
            f"{name} was ended and started again; PodOOMKilled fires from kube-state-metrics' data"
        )

    def told(self, title: str) -> list[Object]:
        """Return the messages to Slack with a title."""
        lines = [json.loads(line) for line in self.slack.read_text("utf-8").splitlines()]
        every = [
            {**each, "at": line["at"]}
            for line in lines
            for each in line["message"].get("attachments", [])
        ]
        return [each for each in every if title in each["title"]]

    def letters(self, subject: str) -> list[Object]:
        """Return the letters with a subject."""
        command = ("nsenter", f"--net=/proc/{self.cluster.outside}/ns/net", "curl", "--silent")
        said = run(*command, f"http://{RECEIVER}:8025/api/v1/messages", cwd=self.home).stdout
        return [each for each in json.loads(said)["messages"] if subject in each["Subject"]]


def monitor(
    name: str, labels: dict[str, str], namespace: str, job: str, endpoint: Object
) -> Object:
    """Return a ServiceMonitor like those of the chart, which is out of reach."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": name, "namespace": "monitoring"},
        "spec": {
            "jobLabel": job,
            "selector": {"matchLabels": labels},
            "namespaceSelector": {"matchNames": [namespace]},
            "endpoints": [{"honorLabels": True, **endpoint}],
        },
    }
