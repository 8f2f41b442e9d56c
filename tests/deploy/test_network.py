"""The connections that the rendered policies allow are those of the table in docs/network.md.

An analyser (cyclonus) judges every pair of those who take part, so the table is complete: what it
does not list is denied.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from conftest import Deployable, Tools
from manifests import FACTS, Object, objects, only, render
from support import run, schema_environment, with_facts

from tools import fetch

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Actor:
    """Who takes part: a pod with its labels and named ports, or something outside with an address."""

    ip: str
    ports: dict[str, int] = field(default_factory=dict)
    namespace: str = ""
    labels: dict[str, str] = field(default_factory=dict)

    def peer(self) -> Object:
        """Return it in the form that cyclonus reads."""
        if not self.namespace:
            return {"IP": self.ip}
        names = {"kubernetes.io/metadata.name": self.namespace}
        internal = {
            "Namespace": self.namespace,
            "NamespaceLabels": names,
            "PodLabels": self.labels,
        }
        return {"IP": self.ip, "Internal": internal}


def pod(number: int, namespace: str, name: str, ports: dict[str, int], **more: str) -> Actor:
    """Return a pod with an address in the private subnets, and labels."""
    labels = {"app.kubernetes.io/name": name, **more}
    return Actor(f"10.0.32.{number}", ports, namespace, labels)


SERVICE = {"http": 8080, "metrics": 9090}
PART = {"app.kubernetes.io/part-of": "acme-shop"}
# Names, labels and ports of the platform are those that the pinned charts render.
ACTORS: dict[str, Actor] = {
    "orders": pod(1, "apps", "orders", SERVICE, **PART, **{"network/from-load-balancer": "allowed"}),
    "another service": pod(2, "apps", "payments", SERVICE, **PART),
    "a pod of another namespace": pod(3, "default", "stranger", {"http": 8080}),
    "Prometheus": pod(4, "monitoring", "prometheus", {"http-web": 9090, "reloader-web": 8080}),
    "Alertmanager": pod(5, "monitoring", "alertmanager", {"http-web": 9093, "reloader-web": 8080}),
    "Grafana": pod(6, "monitoring", "grafana", {"grafana": 3000, "gossip-tcp": 9094, "profiling": 6060}),
    "kube-state-metrics": pod(7, "monitoring", "kube-state-metrics", {"http": 8080, "metrics": 8081}),
    "Prometheus operator": pod(8, "monitoring", "kube-prometheus-stack-prometheus-operator", {"http": 8080}),
    "Argo CD controller": pod(9, "argocd", "argocd-application-controller", {"metrics": 8082}),
    "Argo CD ApplicationSets": pod(10, "argocd", "argocd-applicationset-controller", {"metrics": 8080, "probe": 8081, "webhook": 7000}),
    "Argo CD notifications": pod(11, "argocd", "argocd-notifications-controller", {"metrics": 9001}),
    "Argo CD repo-server": pod(12, "argocd", "argocd-repo-server", {"repo-server": 8081, "metrics": 8084}),
    "Argo CD server": pod(13, "argocd", "argocd-server", {"server": 8080, "metrics": 8083}),
    "Argo CD cache": pod(14, "argocd", "argocd-redis", {"redis": 6379}),
    "Kyverno admission": pod(15, "kyverno", "kyverno-admission-controller", {"https": 9443, "metrics-port": 8000}, **{"app.kubernetes.io/component": "admission-controller"}),
    "Kyverno reports": pod(16, "kyverno", "kyverno-reports-controller", {"https": 9443, "metrics": 8000}, **{"app.kubernetes.io/component": "reports-controller"}),
    "External Secrets": pod(17, "external-secrets", "external-secrets", {"metrics": 8080, "live": 8082}),
    "Argo Rollouts": pod(18, "argo-rollouts", "argo-rollouts", {"metrics": 8090, "healthz": 8080}),
    "cluster DNS": Actor("10.0.33.1", {"53/UDP": 53, "53/TCP": 53, "9153": 9153}, "kube-system", {"k8s-app": "kube-dns"}),
    # EKS Auto Mode has this one instead.
    "the node's DNS": Actor("172.20.0.10", {"53/UDP": 53, "53/TCP": 53}),
    "a load balancer": Actor("10.0.240.7"),
    "a node": Actor("10.0.48.1", {"9100": 9100, "10250": 10250, "22": 22}),
    "the outside": Actor("203.0.113.7", {"22": 22, "80": 80, "443": 443, "587": 587, "5432": 5432}),
    "pod identity agent": Actor("169.254.170.23", {"80": 80}),
    "instance metadata": Actor("169.254.169.254", {"80": 80}),
}  # fmt: skip
# Namespaces in which we make no policies; what starts there is not ours to judge.
NOT_OURS = {"", "default", "kube-system"}
Connection = tuple[str, str, str]


def pairs(actors: Mapping[str, Actor]) -> Iterator[tuple[Connection, Object]]:
    """Yield each pair that has an end in a namespace of ours, with each port of the second."""
    for source, one in actors.items():
        for target, other in actors.items():
            if source == target or {one.namespace, other.namespace} <= NOT_OURS:
                continue
            for name, port in other.ports.items():
                query = {
                    "Source": one.peer(),
                    "Destination": other.peer(),
                    "Protocol": "UDP" if name.endswith("/UDP") else "TCP",
                    "ResolvedPort": port,
                    "ResolvedPortName": name,
                }
                yield (source, target, name), query


def allowed(
    repository: Path,
    environment: str,
    cyclonus: Path,
    scratch: Path,
    extra: str = "",
    actors: Mapping[str, Actor] = ACTORS,
) -> set[Connection]:
    """Return the connections that the policies of an environment allow, as cyclonus judges them."""
    policies = [
        entry
        for entry in objects(render(repository, environment)) + objects(extra)
        if entry["kind"] == "NetworkPolicy"
    ]
    folder = scratch / "policies"
    folder.mkdir()
    for number, policy in enumerate(policies):
        (folder / f"{number}.yaml").write_text(yaml.safe_dump(policy), encoding="utf-8")
    asked = list(pairs(actors))
    traffic = scratch / "traffic.json"
    traffic.write_text(json.dumps([query for _, query in asked]), encoding="utf-8")
    output = run(
        cyclonus, "analyze", "--mode=query-traffic", f"--policy-path={folder}",
        f"--traffic-path={traffic}", cwd=scratch,
    ).stdout  # fmt: skip
    answers = re.findall(r"IS ALLOWED\? +\| +(TRUE|FALSE)", output)
    assert len(answers) == len(asked) > 500, output[-2000:]
    return {
        connection
        for (connection, _), answer in zip(asked, answers, strict=True)
        if answer == "TRUE"
    }


# Words of the table that stand for several.
GROUPS = {
    "every pod of ours": [
        name for name, actor in ACTORS.items() if actor.namespace not in NOT_OURS
    ],
    "anyone not ours": [name for name, actor in ACTORS.items() if actor.namespace in NOT_OURS],
}


def documented(repository: Path) -> set[Connection]:
    """Return the table of docs/network.md."""
    text = (repository / "docs/network.md").read_text(encoding="utf-8")
    table = text.split("## Who can reach whom")[1]
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \| .+ \|$", table, re.M)
    found: set[Connection] = set()
    for cells in rows[2:]:
        sources, targets, ports = (cell.split(", ") for cell in cells)
        for source in (name for group in sources for name in GROUPS.get(group, [group])):
            found |= {(source, target, port) for target in targets for port in ports}
    unknown = {name for source, target, _ in found for name in (source, target)} - ACTORS.keys()
    assert rows and not unknown, f"the test does not know {unknown}"
    return found


def example(repository: Path, heading: str) -> str:
    """Return the YAML that docs/network.md shows below a heading."""
    text = (repository / "docs/network.md").read_text(encoding="utf-8")
    return text.split(f"## {heading}")[1].split("```yaml\n")[1].split("```")[0]


ANSWERS = [
    {},
    {"manifests": "helm", "rollout": "canary", "notifications": "slack-and-email"},
    {"container_registry": "ghcr", "notifications": "email"},
    {"compute": "auto-mode"},
]


@pytest.mark.parametrize(
    "answers", ANSWERS, ids=["default", "canary-both", "ghcr-email", "auto-mode"]
)
def test_the_policies_allow_what_the_table_says_and_nothing_else(
    deployable: Deployable, tools: Tools, tmp_path: Path, answers: dict[str, str]
) -> None:
    repository = with_facts(deployable(**answers), tmp_path, FACTS)
    found = allowed(repository, "production", tools.path("cyclonus"), tmp_path)
    table = documented(repository)
    if answers.get("rollout") != "canary":
        # There are no such pods then, and no policies in the namespace that there is not.
        found, table = (
            {entry for entry in connections if "Argo Rollouts" not in entry}
            for connections in (found, table)
        )
    rows = "\n".join(" | ".join(entry) for entry in sorted(found - table))
    assert found == table, f"in the table only: {sorted(table - found)}; allowed too:\n{rows}"


def test_a_name_in_an_egress_rule_stands_for_one_number(deployable: Deployable) -> None:
    """Cilium 1.18 drops an egress rule whose port's name is that of several numbers, cluster-wide."""
    for answers in ANSWERS:
        policies = objects(render(deployable(**answers), "dev"))
        for policy in (entry for entry in policies if entry["kind"] == "NetworkPolicy"):
            for port in (p for rule in policy["spec"].get("egress", []) for p in rule["ports"]):
                numbers = {actor.ports.get(port["port"]) for actor in ACTORS.values()} - {None}
                assert isinstance(port["port"], int) or len(numbers) == 1, (
                    f"{policy['metadata']}: {port['port']} is one of {numbers}; write the number"
                )


def test_opening_a_flow_as_documented_opens_this_one_and_no_other(
    deployable: Deployable, tools: Tools, tmp_path: Path
) -> None:
    repository = with_facts(deployable(), tmp_path, FACTS)
    flow = example(repository, "Open a flow")
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    after.mkdir()
    cyclonus = tools.path("cyclonus")
    opened = allowed(repository, "dev", cyclonus, after, flow) - allowed(
        repository, "dev", cyclonus, before
    )
    assert opened == {("another service", "orders", "http")}


def append(file: Path, text: str) -> None:
    """Add lines at the end of a file, which must be there."""
    file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")


@pytest.mark.parametrize(
    "answers",
    [{}, {"manifests": "helm", "compute": "auto-mode"}, {"compute": "auto-mode"}],
    ids=["default", "helm-auto-mode", "auto-mode"],
)
def test_users_are_let_in_as_documented(
    deployable: Deployable, tmp_path: Path, answers: dict[str, str]
) -> None:
    repository = with_facts(deployable(**answers), tmp_path, FACTS)
    text = (repository / "docs/network.md").read_text(encoding="utf-8")
    section = text.split("## Let users in")[1].split("\n## ")[0]
    *classes, ingress, host = re.findall(r"```yaml\n(.+?)```", section, re.S)
    if classes:
        base = repository / "deploy/platform-config/base"
        (base / "load-balancers.yaml").write_text(classes[0], encoding="utf-8")
        append(base / "kustomization.yaml", "  - load-balancers.yaml\n")
    if answers.get("manifests") == "helm":
        chart = repository / "deploy/charts/service"
        (chart / "templates/ingress.yaml").write_text(ingress, encoding="utf-8")
        (allowed_values,) = re.findall(r"```json\n(.+?)```", section, re.S)
        schema = (chart / "values.schema.json").read_text(encoding="utf-8")
        schema = schema.replace('"properties": {', f'"properties": {{{allowed_values}', 1)
        (chart / "values.schema.json").write_text(schema, encoding="utf-8")
    else:
        base = repository / "deploy/apps/orders/base"
        (base / "ingress.yaml").write_text(ingress, encoding="utf-8")
        append(base / "kustomization.yaml", "  - ingress.yaml\n")
    for environment in ("dev", "staging", "production"):
        overlay = repository / "deploy/apps/orders/overlays" / environment
        (file,) = (path for path in overlay.iterdir() if path.name != "release.yaml")
        append(file, host.replace("ENV", environment))

    # The projects allow it, and it is what the kinds want.
    run(
        "make", "lint-deploy", "contracts", "ONLY=deploy",
        cwd=repository, path=fetch.commands(), environment=schema_environment(),
    )  # fmt: skip
    made = only(repository, "staging", "Ingress")
    assert (made["metadata"]["namespace"], made["metadata"]["name"]) == ("apps", "orders")
    (rule,) = made["spec"]["rules"]
    assert rule["host"] == "orders.staging.example.com"
    backend = rule["http"]["paths"][0]["backend"]["service"]
    service = only(repository, "staging", "Service", "orders")
    assert backend["name"] == "orders"
    assert backend["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}
    if classes:
        chosen = only(repository, "staging", "IngressClass", made["spec"]["ingressClassName"])
        parameters = only(repository, "staging", "IngressClassParams")
        group, _, _ = parameters["apiVersion"].partition("/")
        assert chosen["spec"]["controller"] == f"{group}/alb"
        assert chosen["spec"]["parameters"] == {
            "apiGroup": group,
            "kind": parameters["kind"],
            "name": parameters["metadata"]["name"],
        }


def test_classes_of_ingresses_are_allowed_only_where_eks_makes_load_balancers(
    deployable: Deployable,
) -> None:
    def allowed_kinds(**answers: str) -> set[str]:
        project = only(deployable(**answers), "dev", "AppProject", "platform")["spec"]
        return {entry["kind"] for entry in project["clusterResourceWhitelist"]}

    assert allowed_kinds(compute="auto-mode") - allowed_kinds() == {
        "IngressClass",
        "IngressClassParams",
    }


def test_the_load_balancers_network_is_that_of_the_facts(deployable: Deployable) -> None:
    """Before the facts are known, a network of nobody: no load balancer gets in."""
    policy = only(deployable(), "dev", "NetworkPolicy", "from-load-balancer")
    assert policy["spec"]["ingress"][0]["from"] == [{"ipBlock": {"cidr": "192.0.2.0/24"}}]
