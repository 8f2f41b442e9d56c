"""`make env-facts` and `make bootstrap` do what they say, or say why not and change nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Deployable, commit
from manifests import FACTS
from support import require, run, with_facts

from tools import fetch, schemas
from tools.cluster import ControlPlane

pytestmark = pytest.mark.slow

ENVIRONMENT_FILE = "deploy/environments/dev/facts.yaml"


@pytest.fixture
def repository(deployable: Deployable, tmp_path: Path) -> Path:
    """A repository that the test may change."""
    copy = tmp_path / "acme-shop"
    shutil.copytree(deployable(), copy, symlinks=True)
    return copy


def env_facts(repository: Path, outputs: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `make env-facts` after a real Terraform has made these outputs."""
    terraform = shutil.which("terraform")
    require(terraform is not None, "terraform is missing", "Put Terraform 1.11 or newer on PATH.")
    folder = repository / "infra/envs/dev"
    # The environment's own needs AWS.
    shutil.rmtree(folder)
    folder.mkdir()
    output = {"output": {"environment_facts": {"value": outputs}}}
    (folder / "main.tf.json").write_text(json.dumps(output), encoding="utf-8")
    for command in ("init", "apply -auto-approve"):
        run(str(terraform), *command.split(), "-input=false", cwd=folder)
    return run(
        "make", "--silent", "env-facts", "ENV=dev",
        cwd=repository, path=fetch.commands(), check=False,
    )  # fmt: skip


def test_env_facts_writes_what_terraform_knows_and_nothing_else(repository: Path) -> None:
    file = repository / ENVIRONMENT_FILE
    before = file.read_text(encoding="utf-8")
    result = env_facts(repository, {**FACTS, "region": "eu-west-1"})
    assert result.returncode == 0, result.stderr
    assert f"loadBalancerCidr: 192.0.2.0/24 -> {FACTS['loadBalancerCidr']}" in result.stdout
    wanted = before.replace("192.0.2.0/24\n", f"{FACTS['loadBalancerCidr']}\n")
    # The comment keeps its network of nobody; the value does not.
    wanted = wanted.replace(
        '"000000000000.dkr.ecr.eu-west-1.amazonaws.com"', f'"{FACTS["registry"]}"'
    )
    assert file.read_text(encoding="utf-8") == wanted
    assert "nothing has changed" in env_facts(repository, FACTS).stdout


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("registry", "https://1.dkr.ecr.eu-west-1.amazonaws.com", "must be the host of the container registry"),
        ("registry", "", "must be the host of the container registry"),
        ("loadBalancerCidr", "0.0.0.0/0", "must be the network of the public subnets"),
        ("loadBalancerCidr", "10.0.0.300/20", "must be the network of the public subnets"),
        ("region", "Ireland", "must be the code of an AWS region"),
        ("environment", "production", "these are not the facts of dev"),
        ("grafanaUrl", "https://grafana.example.com/", "must be the address at which people reach Grafana"),
        ("alertmanagerUrl", "alerts.example.com", "must be the address at which people reach Alertmanager"),
        ("prometheusUrl", "http://", "must be the address at which people reach Prometheus"),
        ("vpc", "vpc-1", "vpc: there is no such fact; facts are environment,cluster"),
    ],
)  # fmt: skip
def test_env_facts_refuses_a_bad_value_and_changes_nothing(
    repository: Path, name: str, value: str, message: str
) -> None:
    file = repository / ENVIRONMENT_FILE
    before = file.read_bytes()
    result = env_facts(repository, {**FACTS, name: value})
    assert result.returncode != 0, "it was accepted"
    assert f"{ENVIRONMENT_FILE} was not changed" in result.stderr and message in result.stderr
    assert file.read_bytes() == before


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """An empty control plane."""
    with ControlPlane() as control_plane:
        yield control_plane


@pytest.fixture
def committed(repository: Path, tmp_path: Path) -> Path:
    """A committed repository with facts, that holds a chart of Argo CD's definitions.

    The real chart can't be had without a network; the definitions are the real ones.
    """
    copy = with_facts(repository, tmp_path / "with", FACTS)
    chart = copy / "deploy/platform/argo-cd/charts/argo-cd"
    (chart / "templates").mkdir(parents=True)
    meta = "apiVersion: v2\nname: argo-cd\nversion: 1.0.0\n"
    (chart / "Chart.yaml").write_text(meta, encoding="utf-8")
    for file in schemas.crds():
        if file.name in ("application-crd.yaml", "applicationset-crd.yaml", "appproject-crd.yaml"):
            # Helm would take the braces in descriptions for its own.
            text = "{{ .Files.Get `files/" + file.name + "` }}\n"
            (chart / "files").mkdir(exist_ok=True)
            shutil.copy(file, chart / "files" / file.name)
            (chart / "templates" / file.name).write_text(text, encoding="utf-8")
    return commit(copy)


def bootstrap(
    repository: Path, cluster: ControlPlane, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `make bootstrap` for dev."""
    return run(
        "make", "--silent", "bootstrap", "ENV=dev", cwd=repository, path=fetch.commands(), check=False,
        environment={"KUBECONFIG": str(cluster.kubeconfig), **environment}, stdin=stdin,
    )  # fmt: skip


def nothing_was_applied(cluster: ControlPlane) -> bool:
    """Say whether the cluster is still without Argo CD's namespace."""
    return cluster.kubectl("get", "namespace", "argocd", check=False).returncode != 0


@pytest.mark.big
def test_bootstrap_refuses_before_it_changes_anything(
    repository: Path, committed: Path, cluster: ControlPlane
) -> None:
    facts = bootstrap(repository, cluster)
    assert "not known yet: registry, loadBalancerCidr" in facts.stderr
    assert "make env-facts ENV=dev" in facts.stderr
    other = bootstrap(committed, cluster)
    assert "kubectl points at test, and dev is acme-shop-dev" in other.stderr
    assert "aws eks update-kubeconfig --region eu-west-1 --name acme-shop-dev" in other.stderr
    answer = bootstrap(committed, cluster, "no\n", CLUSTER="test")
    assert "in the cluster test (https://127.0.0.1:" in answer.stdout
    assert "That is not test. Nothing was changed." in answer.stderr
    (committed / "deploy/flows/new.yaml").touch()
    changed = bootstrap(committed, cluster, YES="1", CLUSTER="test")
    assert "deploy/ or monitoring/ has changes that are not committed" in changed.stderr
    for result in (facts, other, answer, changed):
        assert result.returncode != 0
    assert nothing_was_applied(cluster)


@pytest.mark.big
def test_bootstrap_hands_over_to_the_root_application(
    committed: Path, cluster: ControlPlane
) -> None:
    first = bootstrap(committed, cluster, "test\n", CLUSTER="test")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "see docs/bootstrap.md" in first.stdout
    kinds = ("applications", "appprojects", "applicationsets")

    def found() -> dict[str, str]:
        return {
            f"{entry['kind']} {entry['metadata']['name']}": entry["metadata"]["resourceVersion"]
            for entry in cluster.get(",".join(kinds), "--namespace=argocd")["items"]
        }

    after_first = found()
    # Everything else is the root Application's to bring, in the order of its waves.
    assert set(after_first) == {
        "Application root", "AppProject apps", "AppProject default", "AppProject platform"
    }  # fmt: skip
    second = bootstrap(committed, cluster, CLUSTER="test", YES="1")
    assert second.returncode == 0, second.stdout + second.stderr
    assert found() == after_first, "running it again has changed something"
