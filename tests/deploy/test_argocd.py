"""A real Argo CD brings a generated repository into a real API server, in the order of its waves.

There are no nodes and no chart repositories here: what a controller of the platform would report is
written by the test where it says so, and Applications of third-party charts stay unknown.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Deployable, commit
from manifests import DIGEST, FACTS
from support import require, run, shell_blocks, with_facts

from tools import fetch
from tools.argocd import ArgoCD

pytestmark = [pytest.mark.big, pytest.mark.timeout(900)]

ANSWERS = [
    {"manifests": "kustomize", "rollout": "rolling"},
    {"manifests": "helm", "rollout": "canary"},
]


class Delivery:
    """A repository on a git server, and the Argo CD that reads it."""

    def __init__(self, repository: Path, argocd: ArgoCD, rollout: str) -> None:
        self.repository = repository
        self.argocd = argocd
        self.workload = "rollouts.argoproj.io" if rollout == "canary" else "deployments.apps"

    def push(self) -> None:
        """Commit everything, and let Argo CD see it as it would by a webhook."""
        commit(self.repository)
        self.argocd.refresh()

    def release(self, digest: str) -> None:
        run(
            "make", "--silent", "release", "ENV=dev", "NAME=orders", f"DIGEST={digest}",
            cwd=self.repository, path=fetch.commands(),
        )  # fmt: skip
        self.push()

    def status(self, application: str, *path: str) -> Any:  # noqa: ANN401
        value = self.argocd.applications().get(application, {}).get("status", {})
        for key in path:
            value = value.get(key, {})
        return value

    def wait_synced(self, application: str) -> None:
        def synced() -> bool:
            return bool(
                self.status(application, "sync", "status") == "Synced"
                and self.status(application, "operationState", "phase") == "Succeeded"
            )

        self.argocd.wait(f"{application} is synced", 120, synced)

    def wait_image(self, image: str) -> None:
        def runs() -> bool:
            found = self.argocd.cluster.kubectl(
                *("get", self.workload, "orders", "--namespace=apps", "--output"),
                "jsonpath={.spec.template.spec.containers[0].image}",
                check=False,
            )
            return found.stdout == image

        self.argocd.wait(f"orders is to run {image}", 120, runs)


@pytest.fixture(scope="module", params=ANSWERS, ids=["kustomize-rolling", "helm-canary"])
def delivery(
    request: pytest.FixtureRequest,
    deployable: Deployable,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Delivery]:
    """A repository with facts of dev, and Argo CD as `make bootstrap` leaves it."""
    require(os.geteuid() == 0, "this is not root", "Network namespaces need root on Linux.")
    for program, package in (("redis-server", "redis-server"), ("ip", "iproute2")):
        found = shutil.which(program)
        require(found is not None, f"{program} is missing", f"apt-get install {package}")
    git = tmp_path_factory.mktemp("git")
    facts = {**FACTS, "gitRepository": "git://127.0.0.1/acme-shop"}
    repository = with_facts(deployable(**request.param), git, facts)
    shutil.rmtree(repository / "checks/node_modules")
    (repository / "checks/node_modules").symlink_to(deployable() / "checks/node_modules")
    with (repository / ".gitignore").open("a", encoding="utf-8") as ignored:
        ignored.write("node_modules\n")
    commit(repository)
    values = yaml.safe_load((repository / "deploy/platform/argo-cd/values.yaml").read_text("utf-8"))
    settings = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in values["argo-cd"]["configs"]["cm"].items()
    }
    with ArgoCD(git, settings) as argocd:
        built = run(
            fetch.program("kustomize"), "build", "deploy/argocd/overlays/dev", cwd=repository
        ).stdout
        argocd.cluster.kubectl(
            *("apply", "--server-side", "--selector=bootstrap=true", "--filename=-"), stdin=built
        )
        yield Delivery(repository, argocd, request.param["rollout"])


# The tests of this file follow each other, like the days of a cluster.


def test_waves_hold_until_the_one_before_is_healthy(delivery: Delivery) -> None:
    argocd = delivery.argocd
    delivery.wait_synced("platform-policies")
    delivery.wait_synced("platform-config")
    delivery.wait_synced("platform-monitoring")
    charts = sorted(path.name for path in (delivery.repository / "deploy/platform").iterdir())
    assert {f"platform-{name}" for name in charts} <= argocd.applications().keys()
    # What external-secrets would do has not been done, so the services must wait.
    assert delivery.status("platform-config", "health", "status") == "Progressing"
    sets = argocd.cluster.get("applicationsets.argoproj.io", "--namespace=argocd")["items"]
    assert [entry["metadata"]["name"] for entry in sets] == ["platform"]


def test_the_services_wave_comes_when_the_platform_is_healthy(delivery: Delivery) -> None:
    argocd = delivery.argocd
    argocd.report_for_charts()

    def arrived() -> bool:
        found = argocd.cluster.get("applicationsets.argoproj.io", "--namespace=argocd")["items"]
        return {entry["metadata"]["name"] for entry in found} == {"apps", "platform"}

    # Otherwise the ApplicationSet looks at its Applications' health every three minutes.
    argocd.refresh()
    argocd.wait("the ApplicationSet of services", 120, arrived)


def test_nothing_is_deployed_before_the_first_release(delivery: Delivery) -> None:
    def generated() -> bool:
        (entry,) = delivery.argocd.cluster.get(
            "applicationsets.argoproj.io",
            "--namespace=argocd",
            "--field-selector=metadata.name=apps",
        )["items"]
        conditions = entry.get("status", {}).get("conditions", [])
        assert not any(
            condition["type"] == "ErrorOccurred" and condition["status"] == "True"
            for condition in conditions
        ), conditions
        return any(
            condition["type"] == "ResourcesUpToDate" and condition["status"] == "True"
            for condition in conditions
        )

    delivery.argocd.wait("the ApplicationSet has been read", 60, generated)
    assert "apps-orders" not in delivery.argocd.applications()


def test_a_release_deploys_the_digest(delivery: Delivery) -> None:
    delivery.release(DIGEST)
    delivery.wait_image(f"{FACTS['registry']}/acme-shop/orders@{DIGEST}")
    delivery.wait_synced("apps-orders")


def test_the_number_of_pods_belongs_to_the_autoscaler(delivery: Delivery) -> None:
    scaled = json.dumps({"spec": {"replicas": 7}})
    delivery.argocd.cluster.kubectl(
        *("patch", delivery.workload, "orders", "--namespace=apps"),
        *("--type=merge", f"--patch={scaled}"),
    )
    another = "sha256:" + "b" * 64
    delivery.release(another)
    delivery.wait_image(f"{FACTS['registry']}/acme-shop/orders@{another}")
    found = delivery.argocd.cluster.get(delivery.workload, "orders", "--namespace=apps")
    assert found["spec"]["replicas"] == 7


def test_a_rollback_is_a_git_revert(delivery: Delivery) -> None:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    run("git", *identity, "revert", "--no-edit", "HEAD", cwd=delivery.repository)
    delivery.argocd.refresh()
    delivery.wait_image(f"{FACTS['registry']}/acme-shop/orders@{DIGEST}")


def test_a_person_can_sync_by_hand_as_documented(delivery: Delivery) -> None:
    (command,) = shell_blocks(delivery.repository, "delivery.md", "In an emergency")
    program, *arguments = shlex.split(command.replace("\\\n", " "))
    assert program == "kubectl"
    delivery.argocd.cluster.kubectl(*arguments)

    def synced() -> bool:
        state = delivery.status("apps-orders", "operationState")
        by = state.get("operation", {}).get("initiatedBy", {}).get("username")
        return bool(by == "by-hand" and state["phase"] == "Succeeded")

    delivery.argocd.wait("the sync by hand", 60, synced)


def test_one_looks_into_it_as_documented_with_the_rights_of_a_kubeconfig(
    delivery: Delivery,
) -> None:
    """As far as the page gets where there are no pods: it wants to forward a port to one of them."""
    cluster = delivery.argocd.cluster
    asked, shown = shell_blocks(delivery.repository, "argocd.md", "Until then")
    for command in asked.splitlines():
        program, *arguments = shlex.split(command)
        assert program == "kubectl"
        assert "platform-config" in cluster.kubectl(*arguments).stdout, command
    program, *arguments = shlex.split(shown.splitlines()[1])
    settings = {"ARGOCD_BINARY_NAME": program, "KUBECONFIG": str(cluster.kubeconfig)}
    cluster.start("argocd-dashboard", [str(fetch.program(program)), *arguments], settings)
    wanted = "cannot find ready pod with selector: [app.kubernetes.io/name=argocd-repo-server]"
    delivery.argocd.wait(wanted, 60, lambda: wanted in cluster.log("argocd-dashboard"))


def test_a_service_cannot_open_its_own_network(delivery: Delivery) -> None:
    """A team that writes a NetworkPolicy beside its service is stopped by the project."""
    policy = (delivery.repository / "deploy/policies/network/common/dns.yaml").read_text("utf-8")
    if delivery.workload.startswith("rollouts"):
        target = delivery.repository / "deploy/charts/service/templates/open.yaml"
        target.write_text(policy, encoding="utf-8")
    else:
        base = delivery.repository / "deploy/apps/orders/base"
        (base / "open.yaml").write_text(policy, encoding="utf-8")
        kustomization = base / "kustomization.yaml"
        text = kustomization.read_text(encoding="utf-8")
        kustomization.write_text(
            text.replace("resources:\n", "resources:\n  - open.yaml\n"), "utf-8"
        )
    delivery.push()

    def refused() -> bool:
        state = json.dumps(delivery.status("apps-orders"))
        return "is not permitted in project apps" in state

    delivery.argocd.wait("the project refuses the NetworkPolicy", 120, refused)
    held = delivery.argocd.cluster.get("networkpolicies", "--namespace=apps")["items"]
    assert sum(entry["metadata"]["name"] == "dns" for entry in held) == 1
