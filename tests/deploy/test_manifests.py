"""Manifests are valid, Kustomize and Helm give the same objects, and bad values are refused."""

from __future__ import annotations

import itertools
import re
import shutil
from pathlib import Path

import pytest
import yaml
from conftest import Deployable, Tools
from manifests import DIGEST, ENVIRONMENTS, NO_DIGEST, by_key, objects, only, render
from support import BIN, Answers, choices, name_of, run, schema_environment, with_facts

from tools import fetch

pytestmark = pytest.mark.slow

# The answers that change manifests; the others are tried pairwise with these elsewhere.
COMBINATIONS = [
    {"manifests": manifests, "rollout": rollout, "container_registry": registry}
    for manifests, rollout, registry in itertools.product(
        *(choices()[name] for name in ("manifests", "rollout", "container_registry"))
    )
] + [{"compute": "auto-mode"}]
EACH = pytest.mark.parametrize("answers", COMBINATIONS, ids=name_of)


@EACH
def test_kubeconform_accepts_every_environment(deployable: Deployable, answers: Answers) -> None:
    result = run(
        "make", "lint-deploy", cwd=deployable(**answers), path=fetch.commands(),
        environment=schema_environment(),
    )  # fmt: skip
    summaries = re.findall(r"Valid: (\d+), Invalid: 0, Errors: 0, Skipped: 0", result.stdout)
    assert len(summaries) == len(ENVIRONMENTS) and min(map(int, summaries)) > 30, result.stdout


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize(
    ("rollout", "registry"), list(itertools.product(choices()["rollout"], choices()["container_registry"]))
)  # fmt: skip
def test_kustomize_and_helm_give_the_same_objects(
    deployable: Deployable, rollout: str, registry: str, environment: str
) -> None:
    kustomize, helm = (
        by_key(
            render(
                deployable(manifests=manifests, rollout=rollout, container_registry=registry),
                environment,
            )
        )
        for manifests in ("kustomize", "helm")
    )
    assert kustomize.keys() == helm.keys()
    for key, entry in kustomize.items():
        if key[1:] == ("ApplicationSet", "argocd", "apps"):
            # The one difference: where Argo CD finds a service's manifests.
            for other in (entry, helm[key]):
                source = other["spec"]["template"]["spec"]["source"]
                assert source.pop("path") and "deploy/" in str(other)
                source.pop("helm", None)
        assert entry == helm[key], key


@EACH
def test_before_the_first_release_rendering_says_what_is_missing(
    deployable: Deployable, answers: Answers
) -> None:
    result = run(
        "make",
        "--silent",
        "render",
        "ENV=staging",
        cwd=deployable(**answers),
        path=fetch.commands(),
    )
    notes = result.stderr.splitlines()
    assert any("orders has not been released to staging" in note for note in notes), notes
    assert any("make env-facts ENV=staging" in note for note in notes), notes
    assert "Argo CD leaves it out" in result.stdout


def test_a_released_service_has_no_note(deployable: Deployable, tmp_path: Path) -> None:
    repository = released(deployable(), tmp_path, "production")
    result = run(
        "make", "--silent", "render", "ENV=production", cwd=repository, path=fetch.commands()
    )
    assert "orders" not in result.stderr and f"/acme-shop/orders@{DIGEST}" in result.stdout


def test_links_of_alerts_lead_to_the_grafana_of_the_facts(
    deployable: Deployable, tools: Tools, tmp_path: Path
) -> None:
    grafana = "https://grafana.example.com/ops"
    repository = with_facts(deployable(), tmp_path, {"grafanaUrl": grafana})
    links = re.findall(r"dashboard_url: (\S+)", render(repository, "production"))
    assert links and all(link.startswith(f"{grafana}/d/") for link in links), links
    # A set of rules without alerts is one too.
    listed = repository / "monitoring/rules/kustomization.yaml"
    left = re.sub(r"^  - alerts-.*\n", "", listed.read_text(encoding="utf-8"), flags=re.M)
    listed.write_text(left, encoding="utf-8")
    build = (tools.path("kustomize"), "build", "monitoring/overlays/dev")
    assert "PrometheusRule" in run(*build, cwd=repository).stdout


def released(repository: Path, tmp_path: Path, environment: str) -> Path:
    """Return a copy of a repository in which an environment has a released service."""
    copy = tmp_path / repository.name
    shutil.copytree(repository, copy, symlinks=True)
    release = copy / f"deploy/apps/orders/overlays/{environment}/release.yaml"
    release.write_text(release.read_text("utf-8").replace(NO_DIGEST, DIGEST), encoding="utf-8")
    return copy


@pytest.mark.parametrize("rollout", choices()["rollout"])
def test_the_chart_passes_helm_lint(deployable: Deployable, tools: Tools, rollout: str) -> None:
    repository = deployable(manifests="helm", rollout=rollout)
    for environment in ENVIRONMENTS:
        run(
            tools.path("helm"), "lint", "--strict", "deploy/charts/service",
            *value_files(environment), cwd=repository,
        )  # fmt: skip


def value_files(environment: str) -> list[str]:
    """Return helm's arguments for the values that Argo CD uses."""
    app = "deploy/apps/orders"
    return [
        f"--values={file}"
        for file in (
            f"{app}/values.yaml",
            f"{app}/overlays/{environment}/values.yaml",
            f"{app}/overlays/{environment}/release.yaml",
            f"deploy/environments/{environment}/facts.yaml",
        )
    ]


# A bad value in a values file, and what the refusal must name.
BAD_VALUES = {
    "image: {digest: latest}": "image.digest|/image/digest",
    "image: {digest: sha256:abc}": "image.digest|/image/digest",
    "image: {tag: v1}": "tag",
    "scaling: {minReplicas: 1}": "minReplicas",
    "scaling: {minReplicas: two}": "minReplicas",
    "scaling: {minReplicas: 9}": "maxReplicas is 3, below scaling.minReplicas, which is 9",
    "scaling: {maxReplicas: 2000}": "maxReplicas",
    "scaling: {cpuUtilization: 0}": "cpuUtilization",
    "scaling: {cpuUtilisation: 50}": "cpuUtilisation",
    "resources: {memory: 256}": "memory",
    "resources: {memory: 256MB}": "memory",
    "resources: {cpu: 0m}": "cpu",
    "resources: {limits: {cpu: 1}}": "limits",
    "env: {LOG_LEVEL: 3}": "LOG_LEVEL",
    "env: {log-level: debug}": "log-level",
    "env: {ENVIRONMENT: production}": "ENVIRONMENT",
    "fromLoadBalancer: yes please": "fromLoadBalancer",
    "team: null": "team",
    "team: Two Words": "team",
    "replicas: 3": "replicas",
    "global: {environment: Prod}": "environment",
    "global: {registry: 'https://ghcr.io'}": "registry",
}


@pytest.mark.parametrize("value", BAD_VALUES)
def test_a_bad_value_of_the_chart_is_refused_with_its_path(
    deployable: Deployable, tools: Tools, tmp_path: Path, value: str
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(value + "\n", encoding="utf-8")
    command: list[str | Path] = [
        tools.path("helm"),
        "template",
        "orders",
        "deploy/charts/service",
        *value_files("dev"),
    ]
    repository = deployable(manifests="helm")
    run(*command, cwd=repository)
    result = run(*command, f"--values={bad}", cwd=repository, check=False)
    assert result.returncode != 0, f"{value} was accepted"
    assert re.search(BAD_VALUES[value], result.stderr), result.stderr


@pytest.mark.parametrize("rollout", choices()["rollout"])
def test_checkov_finds_nothing_without_a_written_reason(
    deployable: Deployable, tools: Tools, tmp_path: Path, rollout: str
) -> None:
    # With Helm the objects are the same, see above.
    repository = deployable(rollout=rollout, container_registry="ghcr")
    rendered = tmp_path / "rendered.yaml"
    # Checkov does not know Rollouts; their pods are those of a Deployment.
    text = render(repository, "production").replace(
        "apiVersion: argoproj.io/v1alpha1\nkind: Rollout", "apiVersion: apps/v1\nkind: Deployment"
    )
    assert "kind: Deployment" in text
    rendered.write_text(text, encoding="utf-8")
    run(
        tools.path("checkov"), "--config-file", repository / "deploy/.checkov.yaml",
        "--file", rendered, cwd=tmp_path,
    )  # fmt: skip


def test_every_skip_of_checkov_has_a_reason(deployable: Deployable) -> None:
    text = (deployable() / "deploy/.checkov.yaml").read_text(encoding="utf-8")
    skipped = yaml.safe_load(text)["skip-check"]
    assert skipped
    for check in skipped:
        assert re.search(rf"- {check} # \S.{{20,}}", text), f"{check} has no reason beside it"


@pytest.mark.parametrize(
    ("compute", "label"),
    [
        ("managed-nodes", "elbv2.k8s.aws/pod-readiness-gate-inject"),
        ("auto-mode", "eks.amazonaws.com/pod-readiness-gate-inject"),
    ],
)
def test_a_pod_is_ready_once_its_load_balancer_knows_it(
    deployable: Deployable, compute: str, label: str
) -> None:
    """Each load balancer controller asks for the label of its own, on the namespace of the pods."""
    for environment in ENVIRONMENTS:
        labels = next(
            entry["metadata"]["labels"]
            for entry in objects(render(deployable(compute=compute), environment))
            if (entry["kind"], entry["metadata"]["name"]) == ("Namespace", "apps")
        )
        gates = {key: value for key, value in labels.items() if "readiness-gate" in key}
        assert gates == {label: "enabled"}, f"{environment}, namespace apps: {labels}"


def test_a_revert_of_a_finished_canary_skips_its_steps(deployable: Deployable) -> None:
    """Argo Rollouts would take minutes for a version that has served before."""
    rollout = only(deployable(rollout="canary"), "production", "Rollout")["spec"]
    window = rollout.get("rollbackWindow", {}).get("revisions", 0)
    assert 0 < window <= rollout["revisionHistoryLimit"], (
        f"rollbackWindow.revisions is {window}; kept are {rollout['revisionHistoryLimit']}"
    )


def test_production_is_changed_in_working_hours_only(deployable: Deployable) -> None:
    for environment in ENVIRONMENTS:
        projects = {
            entry["metadata"]["name"]: entry["spec"]
            for entry in objects(render(deployable(), environment))
            if entry["kind"] == "AppProject"
        }
        windows = projects["apps"].get("syncWindows", [])
        assert bool(windows) == (environment == "production"), environment
        assert all(window["kind"] == "allow" and window["manualSync"] for window in windows)
        assert projects["default"]["sourceRepos"] == projects["default"]["destinations"] == []


@pytest.mark.parametrize(
    ("variable", "message"),
    [("ENV=prod", "ENV=prod: there is no such environment; there are dev, production, staging")],
)
def test_an_unknown_environment_is_refused(
    deployable: Deployable, variable: str, message: str
) -> None:
    for target in ("render", "bootstrap"):
        result = run("make", target, variable, cwd=deployable(), path=fetch.commands(), check=False)
        assert result.returncode != 0 and message in result.stderr, result.stderr


def test_yamllint_accepts_what_is_rendered(deployable: Deployable, tmp_path: Path) -> None:
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(render(deployable(), "dev"), encoding="utf-8")
    run(
        BIN / "yamllint", "--config-data", "rules: {key-duplicates: enable}", rendered, cwd=tmp_path
    )
