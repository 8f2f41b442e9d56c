"""Our values fit the real, pinned charts, and what these render fits what we wrote around them.

The charts come from their repositories; see tools/charts.py for a machine that reaches none.
"""

from __future__ import annotations

import base64
import copy
import functools
import gzip
import itertools
import re
import shutil
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from conftest import Deployable
from deploy.parts import (
    HOOKS,
    OPERATED_PORTS,
    Part,
    Platform,
    Pod,
    having,
    hooks,
    namespaces,
    pods,
    quantity,
    resources,
    singles,
)
from deploy.test_network import ACTORS, Actor, documented
from manifests import Object, only
from support import TEMPLATE, run, schema_environment, with_facts

from tools import fetch, schemas
from tools.cluster import ControlPlane, end

pytestmark = pytest.mark.slow

ANSWERS: dict[str, dict[str, str]] = {
    "default": {},
    "canary": {
        "rollout": "canary",
        "container_registry": "ghcr",
        "notifications": "slack-and-email",
    },
}
CASES = [
    (answers, name)
    for answers in ANSWERS
    for name in namespaces()
    if name != "argo-rollouts" or answers == "canary"
]
EACH = pytest.mark.parametrize(("answers", "name"), CASES)
# kube-system is not ours: no quota, no network policy, and no Pod Security level there.
OURS = pytest.mark.parametrize(
    ("answers", "name"), [case for case in CASES if namespaces()[case[1]] != "kube-system"]
)
Platforms = Callable[[str], Platform]


@pytest.fixture(scope="module")
def platform(deployable: Deployable, tmp_path_factory: pytest.TempPathFactory) -> Platforms:
    """Return a function from a set of answers to the platform that they give."""

    @functools.cache
    def made(answers: str) -> Platform:
        repository = deployable(**ANSWERS[answers])
        return Platform(with_facts(repository, tmp_path_factory.mktemp(answers), {}))

    return made


def values_of(chart: Path) -> Object:
    """Return the values that a chart knows, with those of the charts that it depends on."""
    values: Object = yaml.safe_load((chart / "values.yaml").read_text(encoding="utf-8")) or {}
    meta = yaml.safe_load((chart / "Chart.yaml").read_text(encoding="utf-8"))
    for dependency in meta.get("dependencies") or []:
        folder = chart / "charts" / dependency["name"]
        if folder.is_dir():
            name = dependency.get("alias", dependency["name"])
            values[name] = laid_over(values_of(folder), values.get(name) or {})
    return values


def laid_over(below: Object, above: Object) -> Object:
    """Return values with others laid over them."""
    result = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        result[key] = laid_over(below[key], value) if both else value
    return result


def unlisted(ours: Object, theirs: Object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each value of ours that a chart's own values do not list."""
    for key, value in ours.items():
        here = (*path, key)
        known = theirs.get(key)
        if key not in theirs or (known and isinstance(known, dict) != isinstance(value, dict)):
            yield here
        # An empty map, or nothing, stands where the chart takes any map.
        elif known and isinstance(value, dict):
            yield from unlisted(value, known, here)


def without(values: Object, path: tuple[str, ...]) -> Object:
    """Return values without the one at a path."""
    result = copy.deepcopy(values)
    inner = result
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return result


@pytest.mark.parametrize("name", ["external-secrets", "kyverno"])
def test_who_has_a_role_in_aws_is_there(platform: Platforms, name: str) -> None:
    """Terraform gives it to service accounts of a namespace: infra/modules/environment."""
    main = (TEMPLATE / "infra/modules/environment/main.tf").read_text(encoding="utf-8")
    pattern = rf'namespace += "{namespaces()[name]}",?\s+service_account += "([^"]+)"'
    wanted = set(re.findall(pattern, main))
    part = platform("default").part(name)
    accounts = [entry for entry in part.objects if entry["kind"] == "ServiceAccount"]
    assert wanted and wanted <= {entry["metadata"]["name"] for entry in accounts}


@EACH
def test_a_value_is_one_that_the_chart_knows(
    platform: Platforms, tmp_path: Path, answers: str, name: str
) -> None:
    """A value that the chart's own do not list has at least an effect: it is in a map for all."""
    part = platform(answers).part(name)
    values = part.values()
    unknown = []
    for number, path in enumerate(unlisted(values[name], values_of(part.chart), (name,))):
        folder = tmp_path / str(number)
        shutil.copytree(part.chart.parent.parent, folder)
        changed = without(values, path)
        (folder / "values.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
        if part.template(folder) == part.text:
            unknown.append(".".join(path))
    assert not unknown, f"the chart knows no such value: {', '.join(unknown)}"


@EACH
def test_the_repositorys_own_command_renders_it(
    platform: Platforms, answers: str, name: str
) -> None:
    """Rendered twice it is the same, or Argo CD would never be done."""
    part = platform(answers).part(name)
    shown = run(
        "make", "--silent", "render-chart", "ENV=dev", f"CHART={name}",
        cwd=part.repository, path=fetch.commands(),
    ).stdout  # fmt: skip
    here, there = (
        set(map(str.strip, re.split(r"^---$", text, flags=re.M))) for text in (shown, part.text)
    )
    other = [text.split("\n")[0] for text in here - there]
    assert not other, f"rendered again, these are different: {other}"
    assert len(here & there) >= 10
    # Until Prometheus' operator is there, nobody knows these kinds.
    later = {entry["kind"] for text in there - here if (entry := yaml.safe_load(text))}
    assert later <= {"Service", "ServiceMonitor"}


@EACH
def test_its_project_admits_what_it_renders(platform: Platforms, answers: str, name: str) -> None:
    part = platform(answers).part(name)
    (project,) = (
        entry["spec"]
        for entry in platform(answers).of_kind("AppProject")
        if entry["metadata"]["name"] == "platform"
    )
    places = {destination["namespace"] for destination in project["destinations"]}
    kinds = {(entry["group"], entry["kind"]) for entry in project["clusterResourceWhitelist"]}
    assert part.namespace in places
    refused = set()
    for entry in part.objects:
        group = entry["apiVersion"].rpartition("/")[0]
        namespace = entry["metadata"].get("namespace")
        if namespace is None and (group, entry["kind"]) not in kinds:
            refused.add(f"the kind {entry['kind']} of {group or 'the core group'}")
        elif namespace is not None and namespace not in places:
            refused.add(f"the namespace {namespace}")
    assert not refused, f"the project `platform` does not admit {', '.join(sorted(refused))}"


@EACH
def test_kubeconform_accepts_it(platform: Platforms, answers: str, name: str) -> None:
    """Every kind has a schema, as a kind without one is an error."""
    part = platform(answers).part(name)
    core, crds = schema_environment().values()
    run(
        *(fetch.program("kubeconform"), "-strict", f"-schema-location={core}"),
        f"-schema-location={crds}/{{{{ .Group }}}}/{{{{ .ResourceKind }}}}_{{{{ .ResourceAPIVersion }}}}.json",
        cwd=part.repository,
        stdin=part.text,
    )


@EACH
def test_each_container_may_use_the_memory_that_it_asks_for_and_no_more(
    platform: Platforms, answers: str, name: str
) -> None:
    wrong = []
    for pod in pods(platform(answers).part(name).objects):
        for container in pod.containers:
            asked, limit = (
                resources(container, verb).get("memory") for verb in ("requests", "limits")
            )
            if limit is None or quantity(asked) != quantity(limit):
                wrong.append(f"{pod.name}, {container['name']}: {asked} asked for, limit {limit}")
    assert not wrong, "\n".join(wrong)


def ceiling(platform: Platform, namespace: str) -> dict[str, str]:
    """Return what the quota of a namespace limits."""
    (quota,) = platform.of_kind("ResourceQuota", namespace)
    return dict(quota["spec"]["hard"])


@OURS
def test_each_container_states_what_the_quota_counts(
    platform: Platforms, answers: str, name: str
) -> None:
    part = platform(answers).part(name)
    counted = [
        key
        for key in ceiling(platform(answers), part.namespace)
        if re.match("requests|limits", key)
    ]
    assert counted
    missing = [
        f"{pod.name}, {container['name']}: {key}"
        for pod in pods(part.objects)
        for container in pod.containers
        for key in counted
        if key.split(".")[1] not in resources(container, key.split(".")[0])
    ]
    assert not missing, "a pod without these is refused:\n" + "\n".join(missing)


@OURS
def test_its_quota_has_room_while_every_pod_is_replaced(
    platform: Platforms, answers: str, name: str
) -> None:
    part = platform(answers).part(name)
    types = [entry["spec"].get("type") for entry in part.objects if entry["kind"] == "Service"]
    used: dict[str, Fraction] = {
        "services.loadbalancers": Fraction(types.count("LoadBalancer")),
        "services.nodeports": Fraction(types.count("LoadBalancer") + types.count("NodePort")),
    }
    made = [pod for pod in pods(part.objects) if pod.namespace == part.namespace]
    assert made and all(pod.kind != "DaemonSet" for pod in made), "one on each node: how many?"
    for key, value in ceiling(platform(answers), part.namespace).items():
        if key == "pods":
            used[key] = Fraction(sum(pod.most for pod in made))
        elif key not in used:
            used[key] = sum((pod.needs(key) * pod.most for pod in made), Fraction())
        needed = f"{float(used[key]):g}"
        if "memory" in key:
            needed = f"{float(used[key] / quantity('1Mi')):g}Mi"
        assert used[key] <= quantity(value), (
            f"{part.namespace}: {key} is {value}, and {needed} may be needed"
        )


# A Job that removes itself before Argo CD has seen its end is one that Argo CD waits for.
SECONDS_TO_BE_SEEN = 60
JOBS = {"argocd-redis-secret-init"}


@EACH
def test_no_job_hangs_and_no_hook_is_there_that_was_turned_off(
    platform: Platforms, answers: str, name: str
) -> None:
    for entry in platform(answers).part(name).objects:
        if entry["kind"] in ("Job", "CronJob") or hooks(entry) & HOOKS:
            said = f"{entry['kind']} {entry['metadata']['name']}"
            assert entry["metadata"]["name"] in JOBS, f"nobody expects {said}"
            seconds = entry.get("spec", {}).get("ttlSecondsAfterFinished", SECONDS_TO_BE_SEEN)
            assert seconds >= SECONDS_TO_BE_SEEN, f"{said} removes itself after {seconds} s"


# It applies whatever git says, so it may do everything.
ALMIGHTY = {"argocd-application-controller"}


@EACH
def test_nobody_may_do_everything(platform: Platforms, answers: str, name: str) -> None:
    for entry in platform(answers).part(name).objects:
        said = f"{entry['kind']} {entry['metadata']['name']}"
        if entry["kind"] in ("ClusterRoleBinding", "RoleBinding"):
            role = entry["roleRef"]["name"]
            assert role not in ("cluster-admin", "admin", "edit"), f"{said} binds {role}"
        elif entry["kind"] == "ClusterRole" and entry["metadata"]["name"] not in ALMIGHTY:
            for rule in entry.get("rules") or []:
                everything = [
                    "*" in (rule.get(part) or []) for part in ("apiGroups", "resources", "verbs")
                ]
                assert not all(everything), f"{said} allows everything"


def peers(
    policy: Object, rule: Object, platform: Platform
) -> Iterator[tuple[str, list[Pod] | None]]:
    """Yield each pod that a rule selects, in words, and those that are so, if all are known."""
    own = policy["metadata"]["namespace"]
    ours = {entry["metadata"]["name"] for entry in platform.of_kind("Namespace")} | {"kube-system"}
    for peer in (*(rule.get("from") or []), *(rule.get("to") or [])):
        if "ipBlock" in peer:
            continue
        for place in singles(peer.get("namespaceSelector")):
            namespace = place.get("kubernetes.io/metadata.name", own)
            known = platform.pods(namespace) if namespace in ours else []
            for labels in singles(peer.get("podSelector")):
                found = None if known is None else having(labels, known)
                yield f"{labels or 'any pod'} in {namespace}", found


def named_ports(rule: Object) -> set[str]:
    """Return the names of the ports of a rule."""
    ports = {port.get("port") for port in rule.get("ports") or []}
    return {port for port in ports if isinstance(port, str)}


@OURS
def test_the_network_policies_speak_of_pods_and_ports_that_are_there(
    platform: Platforms, answers: str, name: str
) -> None:
    whole = platform(answers)
    part = whole.part(name)
    among = [pod for pod in pods(part.objects) if pod.namespace == part.namespace]
    policies = whole.of_kind("NetworkPolicy", part.namespace)
    assert len(policies) >= 4
    wrong = []
    for policy in policies:
        said = f"{part.namespace}/{policy['metadata']['name']}"
        own: list[Pod] = []
        for labels in singles(policy["spec"]["podSelector"]):
            found = having(labels, among)
            own += found
            if not found:
                wrong.append(f"{said}: it is for {labels}: there is no such pod")
        for direction in ("ingress", "egress"):
            for rule in policy["spec"].get(direction) or []:
                met = list(peers(policy, rule, whole))
                wrong += [
                    f"{said}: {direction}: there is no {who}" for who, found in met if found == []
                ]
                targets = [(direction, own)] if direction == "ingress" else met
                if any(found is None for _, found in targets):
                    continue
                there = {port for _, found in targets for pod in found or [] for port in pod.ports}
                for port in named_ports(rule) - there:
                    wrong.append(f"{said}: {direction}: no such pod has a port {port}")
    assert not wrong, "\n".join(wrong)


# It makes a password at the first installation and is gone.
SHORT_LIVED = {"argocd-redis-secret-init"}


@OURS
def test_the_table_of_connections_speaks_of_the_pods_that_are_there(
    platform: Platforms, answers: str, name: str
) -> None:
    """What tests/deploy/test_network.py takes for granted when it judges the policies."""
    part = platform(answers).part(name)
    made = [pod for pod in pods(part.objects) if pod.namespace == part.namespace]
    actors = {key: actor for key, actor in ACTORS.items() if actor.namespace == part.namespace}
    for key, actor in actors.items():
        found = [pod for pod in made if is_made_of(actor, pod)]
        assert len(found) == 1, f"{key}: {len(found)} workloads have {actor.labels}"
        assert actor.ports.items() <= found[0].ports.items(), f"{key} has {found[0].ports}"
    for pod in made:
        known = any(is_made_of(actor, pod) for actor in actors.values())
        assert known or pod.name in SHORT_LIVED, f"{pod.name} is missing in the table"


def is_made_of(actor: Actor, pod: Pod) -> bool:
    """Say whether an actor of the table stands for these pods."""
    return actor.namespace == pod.namespace and bool(having(actor.labels, [pod]))


def scraped(part: Part, labels: dict[str, str], port: str) -> Iterator[tuple[Pod, str]]:
    """Yield the pods behind the Services that have these labels and a port, with the pod's port."""
    for service in (entry for entry in part.objects if entry["kind"] == "Service"):
        ports = {entry["name"]: entry["targetPort"] for entry in service["spec"]["ports"]}
        if port in ports and labels.items() <= service["metadata"]["labels"].items():
            for pod in having(service["spec"]["selector"], pods(part.objects)):
                names = {number: name for name, number in pod.ports.items()}
                yield pod, names.get(ports[port], str(ports[port]))


@OURS
def test_whatever_is_scraped_listens_and_is_in_the_table_of_connections(
    platform: Platforms, answers: str, name: str
) -> None:
    whole = platform(answers)
    part = whole.part(name)
    table = documented(whole.repository)
    found = 0
    for monitor in (entry for entry in part.objects if entry["kind"] == "ServiceMonitor"):
        said, spec = monitor["metadata"]["name"], monitor["spec"]
        places = (spec.get("namespaceSelector") or {}).get("matchNames")
        if part.namespace not in (places or [monitor["metadata"]["namespace"]]):
            continue
        for endpoint in spec["endpoints"]:
            targets = list(scraped(part, spec["selector"]["matchLabels"], endpoint["port"]))
            assert targets, f"{said}: nothing has a port {endpoint['port']}"
            for pod, port in targets:
                assert port in pod.ports, f"{said}: {pod.name} has no port {port}"
                (actor,) = (key for key, actor in ACTORS.items() if is_made_of(actor, pod))
                # A pod always reaches itself.
                assert actor == "Prometheus" or ("Prometheus", actor, port) in table, (
                    f"docs/network.md has no row from Prometheus to {actor}, {port}"
                )
                found += 1
    assert found, f"nothing of {name} is scraped"


def applied(cluster: ControlPlane, entries: list[Object], *flags: str) -> str:
    """Apply objects, strictly; return what the API server said against them, or warned of."""
    return cluster.kubectl(
        *("apply", "--server-side", "--validate=strict", "--filename=-", *flags),
        stdin=yaml.dump_all(entries, Dumper=yaml.CSafeDumper),
        check=False,
    ).stderr


def start(cluster: ControlPlane, pod: Pod) -> str:
    """Make all pods of a workload; return what the API server said against it, or warned of."""
    meta = {"labels": pod.labels, "generateName": f"{pod.name}-", "namespace": pod.namespace}
    entry = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": pod.template["spec"]}
    return cluster.kubectl(
        "create", "--filename=-", stdin=yaml.safe_dump_all([entry] * pod.most), check=False
    ).stderr


@pytest.fixture(scope="module")
def cluster(platform: Platforms) -> Iterator[ControlPlane]:
    """A control plane with the namespaces, quotas and definitions of kinds that there are."""
    with ControlPlane() as control_plane:
        files = [f"--filename={file}" for file in schemas.crds()]
        control_plane.kubectl("apply", "--server-side", *files)
        whole = platform("canary")
        for kind in ("Namespace", "ResourceQuota", "LimitRange"):
            said = applied(control_plane, whole.of_kind(kind))
            assert not said, said
        yield control_plane


@pytest.mark.big
@EACH
def test_the_api_server_accepts_it(
    platform: Platforms, cluster: ControlPlane, answers: str, name: str
) -> None:
    """It warns of workloads whose pods Pod Security would refuse."""
    said = applied(cluster, platform(answers).part(name).objects, "--dry-run=server")
    assert not said, said


@pytest.mark.big
@OURS
def test_all_its_pods_start_at_once(
    platform: Platforms, cluster: ControlPlane, answers: str, name: str
) -> None:
    """Each workload's pods, and those that replace them, pass Pod Security and the quota."""
    part = platform(answers).part(name)
    made = [pod for pod in pods(part.objects) if pod.namespace == part.namespace]
    accounts = [entry for entry in part.objects if entry["kind"] == "ServiceAccount"]
    assert not applied(cluster, accounts)
    if name == "kube-prometheus-stack":
        made = [pod for pod in made if pod.kind not in OPERATED_PORTS]
        made += by_the_operator(cluster, part)
    cluster.settle(part.namespace)
    try:
        for pod in made:
            said = start(cluster, pod)
            assert not said, f"{pod.name}: {said}"
    finally:
        cluster.kubectl("delete", "pods", "--all", "--force", "-n", part.namespace, check=False)


def by_the_operator(cluster: ControlPlane, part: Part) -> list[Pod]:
    """Return the pods that the real operator of Prometheus makes, with the rights it has there."""
    (operator,) = (pod for pod in pods(part.objects) if pod.name.endswith("-operator"))
    (container,) = operator.template["spec"]["containers"]
    assert container["image"].endswith(f":v{fetch.TOOLS['prometheus-operator'].version}")
    account = f"{part.namespace}:{operator.template['spec']['serviceAccountName']}"
    rest = [entry for entry in part.objects if entry["kind"] != "CustomResourceDefinition"]
    config = only(part.repository, "dev", "Secret", "alertmanager-config")
    said = applied(cluster, [*rest, config])
    assert not said, said
    cluster.kubectl("delete", "statefulsets", "--all", "-n", part.namespace)
    name = "prometheus-operator"
    command = [
        *(str(fetch.program(name)), *container["args"]),
        *(f"--as=system:serviceaccount:{account}", "--web.listen-address=127.0.0.1:0"),
    ]
    cluster.start(name, command, {"KUBECONFIG": str(cluster.kubeconfig)})
    try:
        latest = time.monotonic() + 60
        found: list[Pod] = []
        while len(found) < len(OPERATED_PORTS):
            assert time.monotonic() < latest, cluster.log(name)
            time.sleep(0.5)
            found = pods(cluster.get("statefulsets", "-n", part.namespace)["items"])
    finally:
        end(cluster.processes.pop(name))
    alertmanager_is_told(cluster, config, next(pod for pod in found if "alertmanager" in pod.name))
    guessed = {pod.name: pod for pod in pods(part.objects) if pod.kind in OPERATED_PORTS}
    for pod in found:
        (guess,) = (other for name, other in guessed.items() if pod.name.endswith(f"-{name}"))
        assert guess.labels.items() <= pod.labels.items()
        assert guess.ports.items() <= pod.ports.items() and guess.most == pod.most
        for verb, resource in itertools.product(("requests", "limits"), ("cpu", "memory")):
            assert guess.needs(f"{verb}.{resource}") == pod.needs(f"{verb}.{resource}")
    return found


def alertmanager_is_told(cluster: ControlPlane, config: Object, pod: Pod) -> None:
    """Check what the operator has made of our configuration, which it reads and writes anew."""
    (made,) = (
        entry["data"]
        for entry in cluster.get("secrets", "-n", pod.namespace)["items"]
        if entry["metadata"]["name"] == f"{pod.name}-generated"
    )
    given = {key: base64.b64decode(value).decode() for key, value in config["data"].items()}
    told = yaml.safe_load(gzip.decompress(base64.b64decode(made.pop("alertmanager.yaml.gz"))))
    shipped = given.pop("alertmanager.yaml")
    assert told == yaml.safe_load(shipped)
    # The templates lie beside it.
    assert {key: base64.b64decode(value).decode() for key, value in made.items()} == given
    containers = {entry["name"]: entry for entry in pod.containers}
    mounts = {mount["mountPath"] for mount in containers["alertmanager"]["volumeMounts"]}
    for path in re.findall(r"(/etc/alertmanager/\S+)/[^/\s]+$", shipped, re.M):
        assert path in mounts, f"nothing is mounted at {path}: {mounts}"
    for name in ("init-config-reloader", "config-reloader"):
        known = {entry["name"] for entry in containers[name]["env"]}
        unknown = set(re.findall(r"\$\((\w+)\)", shipped)) - known
        assert not unknown, f"{name} cannot fill in {unknown}"
