"""The generated repository's own commands work, and each of its checks can fail."""

from __future__ import annotations

import contextlib
import datetime
import http.client
import os
import re
import shutil
import signal
import subprocess
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Bake, Tools, link_dependencies
from infra.terraform import environment as terraform_environment
from support import BIN, free_port, run, schema_environment

from tools import fetch

pytestmark = pytest.mark.slow

# With the default ones: each registry, kind of manifests and kind of nodes.
OTHER_ANSWERS = {
    "project_name": "Blue 'Line' \"2\"",
    "project_slug": "blue-line",
    "description": 'It\'s 100 % \\ "safe" & <sound> ${{ x }} שלום',
    "service_name": "t-1",
    "notifications": "slack-and-email",
    "aws_region": "us-gov-west-1",
    "container_registry": "ghcr",
    "manifests": "helm",
    "compute": "auto-mode",
    "license": "proprietary",
    "slo_latency_ms": "1234.5",
    "slo_availability": "99.95",
}


@pytest.fixture
def changed(ready_repo: Path, tmp_path: Path) -> Path:
    """A copy of the repository to break."""
    copy = tmp_path / ready_repo.name
    shutil.copytree(ready_repo, copy, symlinks=True, ignore=shutil.ignore_patterns("node_modules"))
    for folder in ("services/orders", "checks"):
        link_dependencies(ready_repo / folder, copy / folder)
    return copy


def make(repository: Path, tools: Tools, *targets: str, check: bool = True) -> str:
    """Run make with the pinned tools; return its output, or an empty text when it succeeded."""
    result = run(
        "make",
        *targets,
        cwd=repository,
        path=tools.folder(),
        check=check,
        environment={"NO_COLOR": "1", **schema_environment(), **terraform_environment()},
    )
    return "" if result.returncode == 0 else result.stdout + result.stderr


def test_help_lists_every_target_for_people(default_repo: Path) -> None:
    shown = run("make", cwd=default_repo).stdout
    makefile = (default_repo / "Makefile").read_text(encoding="utf-8")
    for target in ("setup", "test", "dev", "rehearse", "image", "check", "contracts", "audit"):
        assert re.search(rf"^  {target} +\S", shown, re.M), f"make help does not tell of {target}"
        assert f"\n{target}:" in makefile


def test_setup_test_and_check_pass(ready_repo: Path, tools: Tools) -> None:
    make(ready_repo, tools, "test", "check")
    status = run("git", "status", "--porcelain", cwd=ready_repo).stdout
    assert status == "", f"the commands changed or left files:\n{status}"


def test_services_pass_their_tests_with_other_answers(
    bake: Bake, ready_repo: Path, tools: Tools, tmp_path: Path
) -> None:
    """What the matrix leaves out, as it tries all checks with such answers."""
    repository = tmp_path / "blue-line"
    shutil.copytree(bake(**OTHER_ANSWERS), repository)
    link_dependencies(ready_repo / "services/orders", repository / "services/t-1")
    make(repository, tools, "test")


def edit(path: str, old: str, new: str) -> Callable[[Path], object]:
    """Return a change of one text in one file, which must be there."""

    def change(repository: Path) -> None:
        text = (repository / path).read_text(encoding="utf-8")
        assert old in text, f"{path} holds no {old!r}"
        (repository / path).write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


TODAY = datetime.datetime.now(datetime.UTC).date()
YESTERDAY, TOMORROW = (str(TODAY + datetime.timedelta(days=days)) for days in (-1, 1))


def waive(finding: str, until: str, owner: str = "'@acme/web'") -> Callable[[Path], object]:
    """Return a change that adds a waiver, with the parts that are given."""
    parts = {"id": finding, "owner": owner, "expired_at": until}
    entry = "\n    ".join(f"{name}: {value}" for name, value in parts.items() if value)
    return edit(
        ".trivyignore.yaml",
        "vulnerabilities: []",
        f"vulnerabilities:\n  - statement: No code of ours calls it.\n    {entry}",
    )


BREAKAGES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "another Node in the Dockerfile": (
        edit("services/orders/Dockerfile", "node:24.", "node:22."),
        "contracts ONLY=pins",
        r"must be node:24\.\d+\.\d+-\.\.\.; mise\.toml pins 24",
    ),
    "a base image without digest": (
        edit("services/orders/Dockerfile", ":nonroot@sha256:", ":nonroot@sha512:"),
        "contracts ONLY=pins",
        r"needs @sha256:DIGEST",
    ),
    "a build stage that would be emulated": (
        edit("services/orders/Dockerfile", "--platform=$BUILDPLATFORM ", ""),
        "contracts ONLY=pins",
        r"a stage with RUN must start FROM --platform=\$BUILDPLATFORM",
    ),
    "a package with machine code": (
        edit("services/orders/package-lock.json", '"node_modules/fastify": {', '"node_modules/fastify": {"cpu": ["x64"],'),
        "contracts ONLY=pins",
        r"packages with machine code differ by platform",
    ),
    "a Node that is not pinned": (
        edit("mise.toml", 'node = "24.', 'node = "lts" # "'),
        "contracts ONLY=pins",
        r"write node = .MAJOR\.MINOR\.PATCH",
    ),
    "an older engine": (
        edit("services/orders/package.json", '">=24"', '">=20"'),
        "contracts ONLY=pins",
        r"engines\.node",
    ),
    "another Kubernetes than kubectl's": (
        edit("infra/modules/environment/versions.tf", 'kubernetes_version = "1.36"', 'kubernetes_version = "1.35"'),
        "contracts ONLY=infra",
        r"mise\.toml: kubectl; infra/modules/environment/versions\.tf",
    ),
    "another Terraform than mise.toml's": (
        edit("infra/envs/dev/backend.tf", ">= 1.11.4", ">= 1.9.0"),
        "contracts ONLY=infra",
        r"infra/envs/dev/backend\.tf: required_version; mise\.toml",
    ),
    "a Kubernetes without support": (
        edit("infra/modules/environment/versions.tf", '"1.36" = "2027-08-02"', '"1.36" = "2026-08-02"'),
        "contracts ONLY=infra",
        r"support for 1\.36 ended on 2026-08-02; upgrade",
    ),
    "two environments in one network": (
        edit("infra/envs/staging/main.tf", '"10.1.0.0/16"', '"10.0.128.0/17"'),
        "contracts ONLY=infra",
        r"infra/envs/dev has 10\.0\.0\.0/16 and infra/envs/staging 10\.0\.128\.0/17: write networks apart",
    ),
    "two environments with one state": (
        edit("infra/envs/staging/backend.tf", '"staging/', '"dev/'),
        "contracts ONLY=infra",
        r"each environment has a state of its own, staging/terraform\.tfstate",
    ),
    "an input that the module's README does not have": (
        edit("infra/modules/network/variables.tf", 'variable "name" {', 'variable "title" {'),
        "contracts ONLY=infra",
        r"run 'make infra-docs'",
    ),
    "Terraform that is not formatted": (
        edit("infra/modules/key/main.tf", "  name          =", "  name ="),
        "lint-infra",
        r"infra/modules/key/main\.tf",
    ),
    "another latency threshold in the rules": (
        edit("monitoring/rules/slo.yaml", "vector(0.3)", "vector(0.35)"),
        "contracts ONLY=slo",
        r"must hold 0\.35",
    ),
    "an objective that no alert can reach": (
        edit("monitoring/rules/slo.yaml", "vector(0.999)", "vector(0.9)"),
        "contracts ONLY=rules",
        r"must be below 1",
    ),
    "a service that calls itself otherwise": (
        edit("services/orders/Dockerfile", 'image.title="orders"', 'image.title="order"'),
        "contracts ONLY=services",
        r"Dockerfile, image title says order, not orders",
    ),
    "a service without tests": (
        lambda repository: shutil.rmtree(repository / "services/orders/test"),
        "contracts ONLY=services",
        r"services/orders/test holds no \*\.test\.ts",
    ),
    "a link to nowhere": (
        edit("README.md", "(mise.toml)", "(mice.toml)"),
        "contracts ONLY=docs",
        r"links to mice\.toml: no such file",
    ),
    "a make target that is not there": (
        edit("README.md", "`make audit`", "`make audits`"),
        "contracts ONLY=docs",
        r"no such target",
    ),
    "another port than the documents say": (
        edit("services/orders/src/config.ts", "default: 8080", "default: 8081"),
        "contracts ONLY=docs",
        r"README\.md names port 8080; services listen on 8081, 9090",
    ),
    "a rule that Prometheus cannot parse": (
        edit("monitoring/rules/slo.yaml", "vector(0.3)", "vector(0.3"),
        "lint-rules",
        r"unclosed left parenthesis",
    ),
    "another threshold in a runbook": (
        edit("runbooks/MemoryNearLimit.md", "more than 90 %", "more than 80 %"),
        "contracts ONLY=runbooks",
        r"runbooks/MemoryNearLimit\.md says 80 %, which no rule of MemoryNearLimit does",
    ),
    "another time in a rule than in its runbook": (
        edit("monitoring/rules/alerts-saturation.yaml", "for: 15m", "for: 20m"),
        "contracts ONLY=runbooks",
        r"runbooks/AutoscalerAtMaximum\.md: .Fires when. says:\n.*after 15m",
    ),
    "a runbook without an alert": (
        lambda repository: shutil.copy(repository / "runbooks/Watchdog.md", repository / "runbooks/Guard.md"),
        "contracts ONLY=runbooks",
        r"runbooks/Guard\.md: there is no alert Guard",
    ),
    "an alert without a runbook": (
        lambda repository: (repository / "runbooks/Watchdog.md").unlink(),
        "contracts ONLY=runbooks",
        r"Watchdog: there is no runbooks/Watchdog\.md",
    ),
    "a runbook that reads a series which is not recorded": (
        edit("runbooks/HighErrorRate.md", "status:http_requests:rate5m", "status:http_requests:rate1m"),
        "contracts ONLY=runbooks",
        r"HighErrorRate\.md reads status:http_requests:rate1m",
    ),
    "a query in a runbook that Prometheus cannot parse": (
        edit("runbooks/HighErrorRate.md", "sort_desc(route:http_errors", "sort_desc(sum(route:http_errors"),
        "lint-rules",
        r"runbooks:HighErrorRate:4",
    ),
    "a runbook that names a namespace which is not there": (
        edit("runbooks/HighLatency.md", "kubectl --namespace apps top", "kubectl --namespace app top"),
        "contracts ONLY=runbooks",
        r"HighLatency\.md: kubectl --namespace app top pods: in which namespace",
    ),
    "a policy that keeps Prometheus out": (
        edit("deploy/policies/network/apps/from-prometheus.yaml", "port: metrics", "port: http"),
        "contracts ONLY=deploy",
        r"Prometheus asks metrics, but may reach http; see deploy/policies/network/apps/from-prom",
    ),
    "another port in the pod": (
        edit("deploy/apps/orders/base/workload.yaml", "containerPort: 8080", "containerPort: 8081"),
        "contracts ONLY=deploy",
        r"ports must be those of services/orders/src/config\.ts",
    ),
    "a probe of a port by number": (
        edit("deploy/apps/orders/base/workload.yaml", "path: /readyz, port: http", "path: /readyz, port: 8080"),
        "contracts ONLY=deploy",
        r"readinessProbe must ask port http",
    ),
    "a Service that selects other pods": (
        edit("deploy/apps/orders/base/service.yaml", "app.kubernetes.io/name: orders", "app.kubernetes.io/name: order"),
        "contracts ONLY=deploy",
        r"Service selects .*not its pods",
    ),
    "a ServiceMonitor of a port that is not there": (
        edit("deploy/apps/orders/base/servicemonitor.yaml", "port: metrics", "port: prometheus"),
        "contracts ONLY=deploy",
        r"ServiceMonitor: no port prometheus",
    ),
    "less time to stop than the service takes": (
        edit("deploy/apps/orders/base/workload.yaml", "terminationGracePeriodSeconds: 60", "terminationGracePeriodSeconds: 30"),
        "contracts ONLY=deploy",
        r"terminationGracePeriodSeconds is 30; stopping takes 50 s",
    ),
    "a service that ends before load balancers stop sending": (
        edit("deploy/apps/orders/base/workload.yaml", "value: from-facts", 'value: from-facts\n            - { name: SHUTDOWN_DRAIN_MS, value: "5000" }'),
        "contracts ONLY=deploy",
        r"SHUTDOWN_DRAIN_MS is 5000; a load balancer may send for 25000 ms",
    ),
    "a readiness probe that takes a pod out for one late answer": (
        edit("deploy/apps/orders/base/workload.yaml", "timeoutSeconds: 2\n            # One late answer takes no pod out. One that is to go is out without a probe.\n            failureThreshold: 3", "failureThreshold: 1"),
        "contracts ONLY=deploy",
        r"readinessProbe: failureThreshold is 1, so one late answer takes a pod out",
    ),
    "a memory limit above the request": (
        edit("deploy/apps/orders/base/workload.yaml", "            limits:\n              memory: 256Mi", "            limits:\n              memory: 512Mi"),
        "contracts ONLY=deploy",
        r"memory: limit and request must be the same",
    ),
    "a rollout that takes old pods first": (
        edit("deploy/apps/orders/base/workload.yaml", "maxUnavailable: 0", "maxUnavailable: 1"),
        "contracts ONLY=deploy",
        r"maxUnavailable must be 0",
    ),
    "more pods at least than at most": (
        edit("deploy/apps/orders/overlays/dev/kustomization.yaml", "/spec/minReplicas, value: 2", "/spec/minReplicas, value: 7"),
        "contracts ONLY=deploy",
        r"maxReplicas 3 is below 7",
    ),
    "faults in production": (
        edit("deploy/apps/orders/base/workload.yaml", "value: from-facts", 'value: from-facts\n            - { name: FAULTS_ENABLED, value: "true" }'),
        "contracts ONLY=deploy",
        r"FAULTS_ENABLED is true: it must be false when ENVIRONMENT is production",
    ),
    "a variable that the service does not read": (
        edit("deploy/apps/orders/base/workload.yaml", "value: from-facts", 'value: from-facts\n            - { name: LOGLEVEL, value: debug }'),
        "contracts ONLY=deploy",
        r"LOGLEVEL: orders reads no such variable",
    ),
    "a tag in place of a digest": (
        edit("deploy/apps/orders/overlays/staging/release.yaml", "digest: sha256:", "digest: v1 # "),
        "contracts ONLY=deploy",
        r"release\.yaml: image\.digest is v1",
    ),
    "a fact of another environment": (
        edit("deploy/environments/staging/facts.yaml", "environment: staging", "environment: production"),
        "contracts ONLY=deploy",
        r"environment must be the name of the folder",
    ),
    "a fact that cannot be": (
        edit("deploy/environments/dev/facts.yaml", "loadBalancerCidr: 192.0.2.0/24", "loadBalancerCidr: 0.0.0.0/0"),
        "contracts ONLY=deploy",
        r"loadBalancerCidr = .0\.0\.0\.0/0.: must be the network of the public subnets",
    ),
    "an overlay that includes another environment": (
        edit("deploy/argocd/overlays/dev/kustomization.yaml", "environments/dev", "environments/production"),
        "contracts ONLY=deploy",
        r"deploy/argocd/overlays/dev: .*production",
    ),
    "a service that is not deployed": (
        lambda repository: shutil.move(repository / "deploy/apps/orders", repository / "deploy/apps/order"),
        "contracts ONLY=deploy",
        r"the folders of deploy/apps/ must be those of services/",
    ),
    "a quota that is too small for the services": (
        edit("deploy/policies/namespaces/apps.yaml", 'pods: "200"', 'pods: "3"'),
        "contracts ONLY=deploy",
        r"1 services need 4 pods; deploy/policies/namespaces/apps\.yaml allows 3",
    ),
    "a namespace without default deny": (
        edit("deploy/policies/network/kyverno/kustomization.yaml", "  - ../common\n", ""),
        "contracts ONLY=deploy",
        r"namespace kyverno has no default-deny",
    ),
    "a policy for one direction only": (
        edit("deploy/policies/network/apps/from-prometheus.yaml", "[Ingress, Egress]", "[Ingress]"),
        "contracts ONLY=deploy",
        r"NetworkPolicy apps/from-prometheus must declare both policy types",
    ),
    "a kind that its project does not allow": (
        edit("deploy/apps/orders/base/kustomization.yaml", "resources:\n", "resources:\n  - ../../../policies/network/common\n"),
        "contracts ONLY=deploy",
        r"NetworkPolicy is not in namespaceResourceWhitelist",
    ),
    "a chart without an exact version": (
        edit("deploy/platform/kyverno/Chart.yaml", "version: 3.", 'version: "^3." # '),
        "contracts ONLY=deploy",
        r"deploy/platform/kyverno/Chart\.yaml: kyverno .* is no exact version",
    ),
    "a chart from somewhere else": (
        edit("deploy/platform/kyverno/Chart.yaml", "repository: https://", "repository: https://mirror."),
        "contracts ONLY=deploy",
        r"https://mirror\.\S+ is not in sourceRepos",
    ),
    "a field that Kubernetes does not know": (
        edit("deploy/apps/orders/base/workload.yaml", "minReadySeconds: 10", "minReadySecond: 10"),
        "lint-deploy",
        r"minReadySecond",
    ),
    "an alert that leads to another one's runbook": (
        edit("monitoring/rules/alerts-pods.yaml", "runbooks/PodRestarting.md", "runbooks/PodCrashLooping.md"),
        "contracts ONLY=rules",
        r"PodRestarting: runbook_url",
    ),
    "an alert that reads a raw metric": (
        edit("monitoring/rules/alerts-saturation.yaml", "pod:nodejs_eventloop_lag_seconds:p99 >", "nodejs_eventloop_lag_p99_seconds >"),
        "contracts ONLY=rules",
        r"EventLoopLagging reads nodejs_eventloop_lag_p99_seconds: record it",
    ),
    "an alert without tests": (
        lambda repository: (repository / "monitoring/tests/alerts-saturation.yaml").unlink(),
        "contracts ONLY=rules",
        r"EventLoopLagging fires in no test of monitoring/tests/",
    ),
    "an alert that reads what no rule records": (
        edit("monitoring/rules/alerts-pods.yaml", "container_crash_loop:max5m", "container_crash_loop:max1m"),
        "contracts ONLY=rules",
        r"PodCrashLooping reads pod:container_crash_loop:max1m; no rule records it",
    ),
    "a recorded series that nobody reads": (
        edit("monitoring/rules/runtime.yaml", "      rules:\n", "      rules:\n        - {record: 'pod:nothing:rate5m', expr: vector(1)}\n"),
        "contracts ONLY=rules",
        r"pod:nothing:rate5m is read by nobody",
    ),
    "rules that are evaluated who knows when": (
        edit("monitoring/rules/slo.yaml", "      interval: 30s\n", ""),
        "contracts ONLY=rules",
        r"group slo-objectives: interval",
    ),
    "another threshold than the tests of rules know": (
        edit("monitoring/rules/alerts-availability.yaml", "14.4 *", "12 *"),
        "lint-rule-tests",
        r"expr: .*HighErrorRate",
    ),
    "a receiver that does not exist": (
        edit("monitoring/alertmanager/alertmanager.yaml", "receiver: heartbeat", "receiver: hartbeat"),
        "lint-alertmanager",
        r"undefined receiver .*hartbeat",
    ),
    "a receiver that nobody routes to": (
        edit("monitoring/alertmanager/alertmanager.yaml", "receivers:\n", "receivers:\n  - name: pager\n"),
        "lint-alertmanager",
        r"receiver pager gets no alert",
    ),
    "a channel that Slack cannot have": (
        edit("monitoring/alertmanager/alertmanager.yaml", '"#alerts"', '"Alerts"'),
        "lint-alertmanager",
        r"must be a Slack channel",
    ),
    "an alert that goes to others": (
        edit("monitoring/alertmanager/alertmanager.yaml", 'team = "acme-shop"', 'team = "shop"'),
        "lint-alertmanager",
        r"a page about a service: goes to platform, and should go to team-acme-shop",
    ),
    "a secret that nobody fetches": (
        edit("monitoring/alertmanager/alertmanager.yaml", "/heartbeat-url", "/pulse-url"),
        "contracts ONLY=alertmanager",
        r"has no secretKey pulse-url",
    ),
    "a message template that is not delivered": (
        edit("monitoring/alertmanager/kustomization.yaml", "      - templates/common.tmpl\n", ""),
        "contracts ONLY=alertmanager",
        r"lists the configuration and every template",
    ),
    "a service without a team": (
        edit("deploy/apps/orders/base/service.yaml", "    team: acme-shop\n", "    teem: acme-shop\n"),
        "contracts ONLY=alertmanager",
        r"the Service of orders has no label team",
    ),
    "a team that nobody listens for": (
        edit("deploy/apps/orders/base/service.yaml", "team: acme-shop", "team: payments"),
        "contracts ONLY=alertmanager",
        r"orders is of the team payments, and .* has no route for it",
    ),
    "a team that Prometheus does not hear of": (
        edit("deploy/apps/orders/base/servicemonitor.yaml", "targetLabels: [team]", "targetLabels: [tier]"),
        "contracts ONLY=deploy",
        r"targetLabels must hold team",
    ),
    "an address of Grafana that cannot be": (
        edit("deploy/environments/dev/facts.yaml", "grafanaUrl: http://localhost:3000", "grafanaUrl: localhost:3000/"),
        "contracts ONLY=deploy",
        r"grafanaUrl = .*must be the address at which people reach Grafana",
    ),
    "a dashboard that Prometheus cannot parse": (
        edit("monitoring/dashboards/fleet-overview.json", "sort(bottomk(10, ", "sort(bottomk(10 "),
        "lint-dashboards",
        r"fleet_overview:panel:least_availability_budget_a.*could not parse",
    ),
    "a dashboard of a series that nobody records": (
        edit("monitoring/dashboards/service-overview.json", "service:http_requests:rate5m{", "service:http_requests:rate1m{"),
        "contracts ONLY=dashboards",
        r"panel Requests A reads service:http_requests:rate1m, which no rule",
    ),
    "a dashboard that does not reach Grafana": (
        edit("monitoring/dashboards/kustomization.yaml", 'grafana_dashboard: "1"', 'grafana_board: "1"'),
        "contracts ONLY=dashboards",
        r"the label that the sidecar selects",
    ),
    "an alert that leads to no dashboard": (
        edit("monitoring/rules/alerts-pods.yaml", "/d/service-overview", "/d/pods"),
        "contracts ONLY=dashboards",
        r"dashboard_url leads to pods; there are fleet-overview,service-overview",
    ),
    "an action by its tag": (
        edit(".github/workflows/ci.yml", "checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 #", "checkout@v7 #"),
        "contracts ONLY=workflows",
        r"ci\.yml:\d+: actions/checkout@v7: write @COMMIT",
    ),
    "an action that does not say its version": (
        edit(".github/workflows/ci.yml", " # v7.0.1", ""),
        "contracts ONLY=workflows",
        r"ci\.yml:\d+: actions/checkout@\w+: write the version behind it",
    ),
    "a permission without a reason": (
        edit(".github/workflows/ci.yml", "contents: read # to check out the code", "contents: read"),
        "contracts ONLY=workflows",
        r"ci\.yml:\d+: contents: read: write the reason behind it",
    ),
    "a permission that its job may not have": (
        edit(".github/workflows/ci.yml", "contents: read # to check out the code", "contents: write # to push what it mends"),
        "contracts ONLY=workflows",
        r"contents: write: job check may have contents: read\. If it needs more, add it to GRANTS",
    ),
    "a job with what the token has by default": (
        edit(".github/workflows/ci.yml", "permissions: {}\n", ""),
        "contracts ONLY=workflows",
        r"ci\.yml: write permissions: \{\} at the top",
    ),
    "an expression in a command": (
        edit(".github/workflows/ci.yml", "run: make test", 'run: make test NAME="${{ github.head_ref }}"'),
        "contracts ONLY=workflows",
        r"ci\.yml:\d+: give it by env:",
    ),
    "two commands in a run": (
        edit(".github/workflows/ci.yml", "run: make test", "run: make setup && make test"),
        "contracts ONLY=workflows",
        r"ci\.yml:\d+: write one command; more belongs into a script",
    ),
    "a scanner beside a secret": (
        edit(".github/workflows/ci.yml", "      SERVICE: ${{ matrix.service }}\n", "      SERVICE: ${{ matrix.service }}\n      TOKEN: ${{ secrets.TOKEN }}\n"),
        "contracts ONLY=workflows",
        r"job image scans, and has a credential: secrets\.",
    ),
    "a scanner that may write": (
        edit(".github/workflows/rescan.yml", "contents: read # to check out the script and the waivers", "issues: write # to open an issue at once"),
        "contracts ONLY=workflows",
        r"job scan scans, so it may write nothing",
    ),
    "a token that stays in the checkout": (
        edit(".github/workflows/ci.yml", "          persist-credentials: false\n", "          persist-credentials: true\n"),
        "contracts ONLY=workflows",
        r"ci\.yml:\d+: write persist-credentials: false",
    ),
    "artifacts that lie elsewhere when there is one": (
        edit(".github/workflows/promote.yml", "          merge-multiple: true\n", ""),
        "contracts ONLY=workflows",
        r"promote\.yml:\d+: write merge-multiple: true",
    ),
    "an artifact without a folder of its own": (
        edit(".github/workflows/infra.yml", '"plans/plan-$ENVIRONMENT"', "plans"),
        "contracts ONLY=workflows",
        r"infra\.yml:\d+: let a step write into plans/plan-\$\{\{ matrix\.environment \}\}",
    ),
    "a workflow of strangers with our credentials": (
        edit(".github/workflows/ci.yml", "  pull_request:\n", "  pull_request_target:\n"),
        "contracts ONLY=workflows",
        r"ci\.yml: pull_request_target gives the code of strangers our credentials",
    ),
    "a script that is not there": (
        edit(".github/workflows/ci.yml", "scripts/scan.js", "scripts/scanner.js"),
        "contracts ONLY=workflows",
        r"ci\.yml:\d+: there is no \.github/scripts/scanner\.js",
    ),
    "a make target of a workflow that is not there": (
        edit(".github/workflows/ci.yml", "run: make test", "run: make tests"),
        "contracts ONLY=workflows",
        r"ci\.yml:\d+: make tests: .*No rule to make target",
    ),
    "a path filter for no file": (
        edit(".github/workflows/release.yml", "[deploy/apps/*/overlays/*/release.yaml]", "[deploy/apps/*/*/digest.yaml]"),
        "contracts ONLY=workflows",
        r"on\.push: no file is like deploy/apps/\*/\*/digest\.yaml",
    ),
    "a program of a workflow that is not pinned": (
        edit(".github/workflows/ci.yml", "node aqua:aquasecurity/trivy", "node aqua:aquasecurity/tfsec"),
        "contracts ONLY=workflows",
        r"mise\.toml pins no aqua:aquasecurity/tfsec",
    ),
    "a job without a program that make asks for": (
        edit(".github/workflows/ci.yml", " aqua:zizmorcore/zizmor", ""),
        "contracts ONLY=workflows",
        r"job check: `make check` needs zizmor: add aqua:zizmorcore/zizmor to install_args",
    ),
    "a cache where images are published": (
        edit(".github/workflows/release.yml", "          cache: false\n", "          cache: true\n"),
        "contracts ONLY=workflows",
        r"release\.yml:\d+: write cache: false",
    ),
    "an identity without an environment": (
        edit(".github/workflows/rescan.yml", "    environment: rescan\n", ""),
        "contracts ONLY=workflows",
        r"job pull asks for an identity: write environment:",
    ),
    "a role that trusts another environment": (
        edit("infra/bootstrap/github.tf", '["apply-${name}"]', '["plan-${name}"]'),
        "contracts ONLY=workflows",
        r"infra/bootstrap/github\.tf: the roles' environments must be those of",
    ),
    "a pull request in an environment of main": (
        edit(".github/workflows/infra.yml", "    environment: plan-", "    environment: apply-"),
        "contracts ONLY=workflows",
        r"job plan: the code is not reviewed yet",
    ),
    "an environment to which nothing is promoted": (
        edit(".github/workflows/promote.yml", "options: [staging, production]", "options: [staging]"),
        "contracts ONLY=workflows",
        r"the options of from and to must be the folders of deploy/environments",
    ),
    "all environments applied at once": (
        edit(".github/workflows/infra.yml", "      max-parallel: 1\n", ""),
        "contracts ONLY=workflows",
        r"job apply: one environment after the other",
    ),
    "a signer that clusters do not trust": (
        edit("deploy/platform-config/base/image-signatures.yaml", "workflows/release.yml@", "workflows/publish.yml@"),
        "contracts ONLY=workflows",
        r"image-signatures\.yaml must name the one workflow that runs \.github/scripts/publish\.js",
    ),
    "a signer in another repository": (
        edit("deploy/platform-config/base/image-signatures.yaml", "https://github.com/acme/acme-shop/", "https://github.com/acme/shop/"),
        "contracts ONLY=workflows",
        r"facts\.yaml of \w+ names another repository",
    ),
    "a folder that nobody updates": (
        edit(".github/dependabot.yml", "[/services/*, /checks]", "[/services/*]"),
        "contracts ONLY=workflows",
        r"npm leaves these out",
    ),
    "updates on the day of their release": (
        edit(".github/dependabot.yml", "{default-days: 7}", "{default-days: 2}"),
        "contracts ONLY=workflows",
        r"npm: write cooldown: \{default-days: 7\}, or more",
    ),
    "a workflow that GitHub cannot read": (
        edit(".github/workflows/ci.yml", "needs: services", "needs: service"),
        "lint-workflows",
        r"job \"image\" needs job \"service\" which does not exist",
    ),
    "an action that is known to be unsafe": (
        edit(".github/workflows/ci.yml", "  cancel-in-progress: true\n", "  cancel-in-progress: true\n\nenv:\n  ACTIONS_ALLOW_UNSECURE_COMMANDS: true\n"),
        "lint-workflows",
        r"insecure-commands",
    ),
    "a script that closes what it should keep": (
        edit(".github/scripts/rescan-issues.js", "if (images.some(({ report }) => !report)) return", "if (images.length > 9) return"),
        "test-scripts ONLY=rescan-issues",
        r"✖ an image that could not be scanned proves nothing",
    ),
    "a waiver that has expired": (
        waive("CVE-2026-1", YESTERDAY),
        "contracts ONLY=waivers",
        r"\.trivyignore\.yaml:\d+: CVE-2026-1: the waiver has expired",
    ),
    "a waiver without owner": (
        waive("CVE-2026-1", TOMORROW, owner=""),
        "contracts ONLY=waivers",
        r"\.trivyignore\.yaml:\d+: owner is missing",
    ),
    "a waiver for everything": (
        waive("", TOMORROW),
        "contracts ONLY=waivers",
        r"\.trivyignore\.yaml:\d+: id is missing",
    ),
    "an environment that another branch may use": (
        edit(".github/scripts/github-setup.js", "{ name: 'main', type: 'branch' }", "{ name: '*', type: 'branch' }"),
        "test-scripts ONLY=github-setup",
        r"✖.*loses every branch but main",
    ),
    "rules of main that anybody may bypass": (
        edit(".github/scripts/github-setup.js", "if (!byApp) return [];", "if (!byApp) return current?.bypass_actors ?? [{ actor_type: 'OrganizationAdmin' }];"),
        "test-scripts ONLY=github-setup",
        r"✖.*only squashed pull requests with a review",
    ),
    "a threat whose control is gone": (
        edit("docs/threat-model.md", "(../checks/waivers.test.js)", "(../checks/gone.test.js)"),
        "contracts ONLY=docs",
        r"threat-model\.md links to \.\./checks/gone\.test\.js: no such file",
    ),
    "a shell-form entrypoint": (
        edit("services/orders/Dockerfile", 'ENTRYPOINT ["/nodejs', "ENTRYPOINT node #"),
        "lint-images",
        r"DL3025",
    ),
    "an unquoted variable in a script": (
        edit("checks/require-tool.sh", "set -euo", "cat $1; set -euo"),
        "lint-scripts",
        r"SC2086",
    ),
    "badly formatted code": (
        edit("services/orders/src/config.ts", "import ", "import  "),
        "check-orders",
        r"src/config\.ts",
    ),
    "a type error": (
        edit("services/orders/src/routes/health.ts", "status: 'ok'", "status: 42"),
        "check-orders",
        r"TS2\d+",
    ),
    "a pod that says it is ready while it drains": (
        edit("services/orders/src/routes/health.ts", "reply.code(503)", "reply.code(200)"),
        "test-orders",
        r"✖.*drain|✖.*ready|✖.*SIGTERM",
    ),
    "a URL as a label": (
        edit("services/orders/src/telemetry.ts", "observe(method, route,", "observe(method, request.url,"),
        "test-orders",
        r"✖.*10,000 URLs",
    ),
}  # fmt: skip


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_breakage_is_caught_and_named(changed: Path, tools: Tools, breakage: str) -> None:
    break_it, target, message = BREAKAGES[breakage]
    break_it(changed)
    output = make(changed, tools, *target.split(), check=False)
    assert output, f"make {target} passes with {breakage}"
    assert re.search(message, output), f"make {target} fails, but not with {message}:\n{output}"


def test_a_missing_tool_is_named_with_its_remedy(default_repo: Path, tmp_path: Path) -> None:
    for name in ("bash", "sed", "head", "dirname"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    result = run(
        "checks/require-tool.sh",
        "hadolint",
        "promtool",
        "docker",
        cwd=default_repo,
        check=False,
        environment={"PATH": str(tmp_path)},
    )
    assert result.returncode != 0
    for tool, remedy in (("hadolint", "mise install"), ("docker", "docs.docker.com")):
        assert re.search(rf"^{tool} is missing: .*{remedy}", result.stderr, re.M), result.stderr


def test_another_version_of_a_tool_is_a_warning(default_repo: Path, tmp_path: Path) -> None:
    program = tmp_path / "hadolint"
    program.write_text("#!/bin/sh\necho Haskell Dockerfile Linter 1.0.0\n", encoding="utf-8")
    program.chmod(0o755)
    result = run("checks/require-tool.sh", "hadolint", cwd=default_repo, path=tmp_path)
    assert "mise.toml pins hadolint" in result.stderr and "1.0.0" in result.stderr


def test_an_older_node_ends_what_would_do_nothing_with_it(
    default_repo: Path, tmp_path: Path
) -> None:
    """`import.meta.main` is not there: a program would end well without a word."""
    program = tmp_path / "node"
    program.write_text("#!/bin/sh\necho v22.4.1\n", encoding="utf-8")
    program.chmod(0o755)
    result = run("make", "tools", cwd=default_repo, path=tmp_path, check=False)
    assert result.returncode != 0
    assert re.search(r"^node is too old; .* is: v22\.4\.1: run 'mise install'", result.stderr, re.M)


def test_who_has_mise_hears_that_the_shell_must_use_it(default_repo: Path, tmp_path: Path) -> None:
    """Else `mise install` would be the answer to what is missing after `mise install`."""
    program = tmp_path / "mise"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    result = run(
        "checks/require-tool.sh", "no-such-tool", cwd=default_repo, path=tmp_path, check=False
    )
    assert 'eval "$(mise activate bash)"' in result.stderr


def test_the_pinned_versions_pass_without_a_warning(default_repo: Path, tools: Tools) -> None:
    names = ["node", "hadolint", "shellcheck", "promtool", "amtool"]
    names += ["kustomize", "helm", "kubectl", "kubeconform"]
    names += ["actionlint", "terraform", "tflint", "zizmor"]
    result = run("checks/require-tool.sh", *names, cwd=default_repo, path=tools.folder())
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("answers", "account", "image"),
    [
        ({}, "", "acme-shop/orders:"),
        ({}, "1" * 12, f"{'1' * 12}.dkr.ecr.eu-west-1.amazonaws.com/acme-shop/orders:"),
        ({"container_registry": "ghcr", "github_owner": "Acme"}, "", "ghcr.io/acme/acme-shop/orders:"),
    ],
    ids=["ecr-without-account", "ecr", "ghcr"],
)  # fmt: skip
def test_images_are_named_for_the_chosen_registry(
    bake: Bake, tmp_path: Path, answers: dict[str, str], account: str, image: str
) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\n", encoding="utf-8")
    docker.chmod(0o755)
    shown = run(
        "make", "--dry-run", "image", cwd=bake(**answers), path=tmp_path,
        environment={"AWS_ACCOUNT_ID": account},
    ).stdout  # fmt: skip
    assert f"--tag {image}" in shown


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("dev NAME=nobody", r"^NAME=nobody: there is no such service; there are orders$"),
        ("image NAME=nobody", r"^NAME=nobody: there is no such service"),
        ("test-nobody", r"^NAME=nobody: there is no such service"),
        ("image", r"^docker has no buildx: install"),
        ("infra-plan ENV=moon", r"^ENV=moon: there is no such environment; .*dev.*staging"),
        ("infra-plan", r"^infra/envs/dev/state\.tfbackend is missing: 'make bootstrap-aws'"),
        (
            "infra-apply",
            r"^infra/envs/dev/dev\.tfplan is missing: run 'make infra-plan ENV=dev' first$",
        ),
        ("test-scripts ONLY=moon", r"^ONLY=moon: no test in \.github/scripts is called so$"),
        ("setup", r"^The dependencies of \S+ could not be installed: .*'npm ping'.*HTTPS_PROXY"),
    ],
)
def test_what_is_not_there_is_told_in_one_sentence(
    default_repo: Path, tmp_path: Path, command: str, said: str
) -> None:
    # No buildx in one, no network for the other.
    for name in ("docker", "npm"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    node = tmp_path / "node"
    node.write_text("#!/bin/sh\necho v24.19.0\n", encoding="utf-8")
    node.chmod(0o755)
    result = run("make", *command.split(), cwd=default_repo, path=tmp_path, check=False)
    assert result.returncode != 0
    assert re.search(said, result.stderr, re.M), result.stderr


def test_no_known_vulnerability_in_locked_packages(ready_repo: Path, tools: Tools) -> None:
    output = make(ready_repo, tools, "audit", check=False)
    if "audit endpoint returned an error" in output:
        # Not a matter of installing something, so not even CI can insist on it.
        pytest.skip("not checked: this network does not reach the npm registry's audit service")
    assert output == "", output


def test_pre_commit_runs_the_checks(changed: Path, tools: Tools) -> None:
    path = tools.folder()
    run(BIN / "pre-commit", "install", cwd=changed, path=path)
    # Found by the first of the checks, as all of them take minutes.
    config = changed / "services/orders/src/config.ts"
    config.write_text(config.read_text("utf-8") + "\nexport const  spaced = 1\n", encoding="utf-8")
    settings = (changed / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert re.search(r"^ +entry: make check$", settings, re.M), "all of them, not a part"
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    command = ("git", *identity, "commit", "--quiet", "--all", "--message=Change")
    refused = run(*command, cwd=changed, path=path, check=False)
    assert refused.returncode != 0
    assert re.search(r"src/config\.ts\b[^\n]* format", refused.stdout + refused.stderr)


def test_dev_serves_and_restarts_on_change(changed: Path, tools: Tools) -> None:
    port = free_port()
    others = ("METRICS", "PROMETHEUS", "ALERTMANAGER", "GRAFANA", "MAILPIT", "SMTP")
    settings = {"HTTP_PORT": str(port)} | {f"{name}_PORT": "0" for name in others}
    process = subprocess.Popen(
        ["make", "dev"],
        cwd=changed,
        env={**fetch.with_path(tools.folder()), **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def greeting() -> str:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("GET", "/v1/greetings/Ada")
            return connection.getresponse().read().decode()
        return ""

    routes = changed / "services/orders/src/routes/greetings.ts"

    def wait_for(text: str, again: Callable[[], None] = lambda: None) -> None:
        end = time.monotonic() + 60
        next_try = time.monotonic() + 5
        while text not in greeting():
            assert time.monotonic() < end, f"{text!r} never came: {greeting()!r}"
            if time.monotonic() > next_try:
                again()
                next_try += 5
            time.sleep(0.1)

    try:
        wait_for("Hello, Ada!")
        edit("services/orders/src/routes/greetings.ts", "'Hello'", "'Welcome'")(changed)
        # Node watches a file only some time after it has loaded it: save again, as a person would.
        wait_for("Welcome, Ada!", routes.touch)
    finally:
        # As Ctrl-C does: all of it is told.
        os.killpg(process.pid, signal.SIGINT)
        process.wait(30)


def test_the_region_is_set_for_every_aws_command(bake: Bake) -> None:
    mise = (bake(aws_region="us-east-1") / "mise.toml").read_text(encoding="utf-8")
    assert tomllib.loads(mise)["env"]["AWS_REGION"] == "us-east-1"


def test_a_talkative_program_does_not_end_the_check_of_tools(
    default_repo: Path, tmp_path: Path
) -> None:
    """Its version is on the first line; more follows than a pipe holds."""
    program = tmp_path / "hadolint"
    program.write_text("#!/bin/sh\necho version 0.0.0\nseq 1 99999\n", encoding="utf-8")
    program.chmod(0o755)
    result = run("checks/require-tool.sh", "hadolint", cwd=default_repo, path=tmp_path)
    assert "hadolint is: version 0.0.0" in result.stderr
