"""A real API server accepts everything that is rendered, and refuses what the documents say."""

from __future__ import annotations

import copy
import itertools
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Deployable
from manifests import DIGEST, ENVIRONMENTS, FACTS, Object, objects, render
from support import TEMPLATE, choices, with_facts

from tools import schemas
from tools.cluster import ControlPlane

pytestmark = pytest.mark.big

POLICIES = {"Namespace", "ResourceQuota", "LimitRange", "ConfigMap", "ValidatingAdmissionPolicy"}
POLICIES |= {"ValidatingAdmissionPolicyBinding", "NetworkPolicy"}


def apply(cluster: ControlPlane, *entries: Object, dry_run: bool = False) -> str:
    """Apply objects as Argo CD does; return what the API server said against it."""
    flags = ["--server-side", "--dry-run=server"] if dry_run else ["--server-side"]
    text = yaml.safe_dump_all(entries)
    return cluster.kubectl("apply", *flags, "--filename=-", stdin=text, check=False).stderr


@pytest.fixture(scope="module")
def repository(deployable: Deployable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose environments have facts."""
    return with_facts(deployable(rollout="canary"), tmp_path_factory.mktemp("facts"), FACTS)


@pytest.fixture(scope="module")
def cluster(repository: Path) -> Iterator[ControlPlane]:
    """A control plane with the definitions of the platform and the policies of dev."""
    with ControlPlane() as control_plane:
        for file in schemas.crds():
            control_plane.kubectl("apply", "--server-side", f"--filename={file}")
        held = objects(render(repository, "dev"))
        for kinds in (POLICIES & {"Namespace"}, POLICIES - {"Namespace"}):
            said = apply(control_plane, *(entry for entry in held if entry["kind"] in kinds))
            assert said == "", said
        control_plane.settle("apps")
        wait_until_refused(control_plane, with_image("nginx:latest"), "image-by-digest")
        yield control_plane


def wait_until_refused(cluster: ControlPlane, pod: Object, rule: str) -> None:
    """Wait for a new policy to be in force."""
    end = time.monotonic() + 30
    while rule not in apply(cluster, pod, dry_run=True):
        assert time.monotonic() < end, f"{rule} is not in force after 30 s"
        time.sleep(0.2)


PREFIX = f"{FACTS['registry']}/acme-shop/"
GOOD: Object = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "try", "namespace": "apps"},
    "spec": {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "service",
                "image": f"{PREFIX}orders@{DIGEST}",
                "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"memory": "1Mi"}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    },
}  # fmt: skip


def pod(change: Callable[[Any, Any], object]) -> Object:
    """Return the good pod after a change of its spec and first container."""
    entry = copy.deepcopy(GOOD)
    change(entry["spec"], entry["spec"]["containers"][0])
    return entry


def with_image(image: str) -> Object:
    return pod(lambda _, container: container.update(image=image))


def within(kind: str, api: str, entry: Object) -> Object:
    """Return an object that makes such pods."""
    labels = {"app": "try"}
    template = {"metadata": {"labels": labels}, "spec": copy.deepcopy(entry["spec"])}
    spec: Object = {"selector": {"matchLabels": labels}, "template": template}
    if kind == "CronJob":
        template["spec"]["restartPolicy"] = "Never"
        spec = {"schedule": "0 0 * * *", "jobTemplate": {"spec": {"template": template}}}
    return {"apiVersion": api, "kind": kind, "metadata": GOOD["metadata"], "spec": spec}


def service(kind: str) -> Object:
    spec = {"type": kind, "ports": [{"port": 80}], "selector": {"app": "try"}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": GOOD["metadata"], "spec": spec}


def memory(request: str | None, limit: str | None) -> Object:
    named = {"requests": request, "limits": limit}
    resources = {name: {"memory": value} for name, value in named.items() if value}
    return pod(lambda _, container: container.update(resources=resources))


TAGGED = with_image(f"{PREFIX}orders:v1")
# What somebody might try, by the words of the table in the generated docs/admission.md.
ATTEMPTS: dict[str, Object] = {
    "a privileged container": pod(lambda _, c: c.update(securityContext={"privileged": True})),
    "a container that may run as root": pod(lambda s, _: s["securityContext"].pop("runAsNonRoot")),
    "a container that keeps its capabilities": pod(lambda _, c: c["securityContext"].pop("capabilities")),
    "a folder of the node (hostPath)": pod(lambda s, _: s.update(volumes=[{"name": "node", "hostPath": {"path": "/"}}])),
    "the network of the node (hostNetwork)": pod(lambda s, _: s.update(hostNetwork=True)),
    "no seccomp profile": pod(lambda s, _: s["securityContext"].pop("seccompProfile")),
    "the tag `:latest`": with_image(f"{PREFIX}orders:latest"),
    "a tag in a Deployment": within("Deployment", "apps/v1", TAGGED),
    "a tag in a Rollout": within("Rollout", "argoproj.io/v1alpha1", TAGGED),
    "a tag in a CronJob": within("CronJob", "batch/v1", TAGGED),
    "a tag in an init container": pod(lambda s, c: s.update(initContainers=[{**c, "name": "first", "image": f"{PREFIX}orders:v1"}])),
    "an image of another registry": with_image(f"docker.io/library/nginx@{DIGEST}"),
    "an image of another project in our registry": with_image(f"{FACTS['registry']}/other/orders@{DIGEST}"),
    "a registry whose name only begins like ours": with_image(f"{FACTS['registry']}.evil.example/acme-shop/orders@{DIGEST}"),
    "no memory limit": memory("1Mi", None),
    "no memory limit in a Deployment": within("Deployment", "apps/v1", memory("1Mi", None)),
    "a memory limit above the request": memory("1Mi", "2Mi"),
    "a memory limit above the request in a Deployment": within("Deployment", "apps/v1", memory("1Mi", "2Mi")),
    "more memory than 4Gi": memory("5Gi", "5Gi"),
    "a Service of type LoadBalancer": service("LoadBalancer"),
    "a Service of type NodePort": service("NodePort"),
}  # fmt: skip


def refusals() -> dict[str, str]:
    """Return the table of docs/admission.md: what is tried, and the words of the refusal."""
    text = (TEMPLATE / "docs/admission.md").read_text(encoding="utf-8")
    table = text.split("## What is refused")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| (.+?) \| `(.+)` \|$", table, re.M))


def test_the_table_of_refusals_is_complete() -> None:
    assert refusals().keys() == ATTEMPTS.keys() | {"`kubectl debug` with a tag"}


def test_the_good_pod_is_accepted(cluster: ControlPlane) -> None:
    for entry in (GOOD, within("Deployment", "apps/v1", GOOD), within("CronJob", "batch/v1", GOOD)):
        assert apply(cluster, entry, dry_run=True) == ""


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_an_attempt_is_refused_in_the_words_of_the_table(
    cluster: ControlPlane, attempt: str
) -> None:
    said = apply(cluster, ATTEMPTS[attempt], dry_run=True)
    assert said, f"{attempt} was accepted"
    assert refusals()[attempt] in said, said


def test_a_debug_container_obeys_too(cluster: ControlPlane) -> None:
    assert apply(cluster, GOOD) == ""
    for image, words in (
        ("busybox:1", refusals()["`kubectl debug` with a tag"]),
        (f"{PREFIX}tools@{DIGEST}", ""),
    ):
        container = {**GOOD["spec"]["containers"][0], "name": "debug", "image": image}
        container.pop("resources")
        patch = {"spec": {"ephemeralContainers": [container]}}
        result = cluster.kubectl(
            *("patch", "pod", "try", "--namespace=apps", "--subresource=ephemeralcontainers"),
            *("--dry-run=server", f"--patch={json.dumps(patch)}"),
            check=False,
        )
        assert words in result.stderr and (result.returncode != 0) == bool(words), result.stderr


def test_without_the_registrys_name_nothing_starts(cluster: ControlPlane) -> None:
    parameters = cluster.get("configmap", "image-registry", "--namespace=kube-system")
    cluster.kubectl("delete", "configmap", "image-registry", "--namespace=kube-system")
    try:
        wait_until_refused(cluster, GOOD, "no params found for policy binding")
    finally:
        for name in ("resourceVersion", "uid", "managedFields", "creationTimestamp"):
            parameters["metadata"].pop(name, None)
        assert apply(cluster, parameters) == ""
    end = time.monotonic() + 30
    while apply(cluster, GOOD, dry_run=True):
        assert time.monotonic() < end, "still refused after the parameters are back"
        time.sleep(0.2)


def test_other_namespaces_are_not_concerned(cluster: ControlPlane) -> None:
    entry = within("Deployment", "apps/v1", with_image("quay.io/prometheus/prometheus:v3"))
    entry = {**entry, "metadata": {"name": "try", "namespace": "monitoring"}}
    assert apply(cluster, entry, dry_run=True) == ""


COMBINATIONS = list(itertools.product(choices()["manifests"], choices()["rollout"]))


@pytest.mark.parametrize(("manifests", "rollout"), COMBINATIONS)
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_everything_that_is_rendered_is_accepted(
    cluster: ControlPlane,
    deployable: Deployable,
    tmp_path: Path,
    manifests: str,
    rollout: str,
    environment: str,
) -> None:
    repository = deployable(manifests=manifests, rollout=rollout)
    held = objects(render(with_facts(repository, tmp_path, FACTS), environment))
    assert len(held) > 30
    # A field that the API does not know is an error, not a warning that nobody reads.
    result = cluster.kubectl(
        *("apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename=-"),
        stdin=yaml.safe_dump_all(held),
        check=False,
    )
    assert result.returncode == 0 and result.stderr == "", result.stderr
    assert result.stdout.count("serverside-applied") == len(held)
