"""The parts of the platform as their pinned charts render, with our values, for dev."""

from __future__ import annotations

import functools
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from manifests import Object, render
from manifests import objects as read
from support import TEMPLATE, run

from tools import charts, fetch, schemas

# What Argo CD tells helm of the cluster, as charts leave out monitors where there is no such kind.
CLUSTER = [f"--kube-version={schemas.KUBERNETES}"]
CLUSTER += [
    f"--api-versions=monitoring.coreos.com/v1{kind}"
    for kind in ("", "/PodMonitor", "/PrometheusRule", "/ServiceMonitor")
]
# Those that Argo CD runs; it leaves out the others, which are tests.
HOOKS = {"pre-install", "pre-upgrade", "post-install", "post-upgrade", "pre-delete", "post-delete"}


def namespaces() -> dict[str, str]:
    """Return the namespace of each part of the platform."""
    files = sorted((TEMPLATE / "deploy/platform").glob("*/Chart.yaml"))
    assert files
    return {
        file.parent.name: yaml.safe_load(file.read_text(encoding="utf-8"))["annotations"][
            "namespace"
        ]
        for file in files
    }


@dataclass(frozen=True)
class Part:
    """A part of the platform: our chart with the real one in it, and the objects it renders.

    `repository` is a copy that nothing else uses, and `chart` the folder of the real chart.
    """

    name: str
    namespace: str
    repository: Path
    chart: Path

    @functools.cached_property
    def text(self) -> str:
        """What Argo CD gets from helm, on a cluster that knows the kinds of all parts."""
        return self.template(self.repository / f"deploy/platform/{self.name}")

    @functools.cached_property
    def objects(self) -> list[Object]:
        """The rendered objects that Argo CD applies."""
        found = [entry for entry in yaml.load_all(self.text, schemas.Reader) if entry]
        return [entry for entry in found if not hooks(entry) or hooks(entry) & HOOKS]

    def template(self, folder: Path) -> str:
        """Return what helm renders of our chart in a folder."""
        facts = self.repository / "deploy/environments/dev/facts.yaml"
        return run(
            *(fetch.program("helm"), "template", self.name, folder, f"--values={facts}"),
            *(f"--namespace={self.namespace}", "--include-crds", *CLUSTER),
            cwd=self.repository,
        ).stdout

    def values(self) -> Object:
        """Return our values for the real chart."""
        text = (self.repository / f"deploy/platform/{self.name}/values.yaml").read_text("utf-8")
        values: Object = yaml.safe_load(text)
        assert values.keys() == {self.name}, f"{self.name}: all values stand below the chart's name"
        return values


def hooks(entry: Object) -> set[str]:
    """Return the hooks of helm that an object is."""
    annotations = entry["metadata"].get("annotations") or {}
    return set(filter(None, annotations.get("helm.sh/hook", "").replace(" ", "").split(",")))


class Platform:
    """The parts of the platform of one generated repository."""

    def __init__(self, repository: Path) -> None:
        self.repository = repository
        self._parts: dict[str, Part | str] = {}

    def part(self, name: str) -> Part:
        """Return a part, or skip the test where its chart can't be had."""
        found = self._find(name)
        if isinstance(found, Part):
            return found
        # Not a matter of installing something, so not even CI can insist on it.
        pytest.skip(
            f"not checked: {found}. Run this where the chart repository can be reached, or let "
            f"{charts.FOLDER} name a folder with the unpacked charts."
        )

    def _find(self, name: str) -> Part | str:
        """Return a part, or why it can't be had."""
        if name not in self._parts:
            folder = self.repository / "deploy/platform" / name
            meta = yaml.safe_load((folder / "Chart.yaml").read_text(encoding="utf-8"))
            (pin,) = meta["dependencies"]
            try:
                chart = charts.chart(pin["name"], pin["version"], pin["repository"])
            except fetch.FetchError as error:
                self._parts[name] = str(error)
            else:
                copy = folder / "charts" / pin["name"]
                shutil.copytree(chart, copy)
                namespace = meta["annotations"]["namespace"]
                self._parts[name] = Part(name, namespace, self.repository, copy)
        return self._parts[name]

    @functools.cached_property
    def names(self) -> list[str]:
        """The names of all parts."""
        return sorted(path.name for path in (self.repository / "deploy/platform").iterdir())

    @functools.cached_property
    def ours(self) -> list[Object]:
        """What Argo CD applies of our own files."""
        return read(render(self.repository, "dev"))

    def of_kind(self, kind: str, namespace: str = "") -> list[Object]:
        """Return our own objects of a kind, of all namespaces or of one."""
        return [
            entry
            for entry in self.ours
            if entry["kind"] == kind and namespace in ("", entry["metadata"].get("namespace"))
        ]

    def pods(self, namespace: str) -> list[Pod] | None:
        """Return the pods of a namespace, or nothing if not all of them are known."""
        if namespace == "kube-system":
            return None
        found = pods(self.ours)
        for name in self.names:
            if namespaces()[name] == namespace:
                part = self._find(name)
                if not isinstance(part, Part):
                    return None
                found += pods(part.objects)
        return [pod for pod in found if pod.namespace == namespace]


@dataclass(frozen=True)
class Pod:
    """The pods of one workload: `most` at once while it is replaced, all made of `template`."""

    kind: str
    name: str
    namespace: str
    template: Object
    most: int

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return dict(self.template["metadata"].get("labels") or {})

    @property
    def containers(self) -> list[Object]:
        """Its containers, the first ones too."""
        spec = self.template["spec"]
        return [*(spec.get("initContainers") or []), *spec["containers"]]

    @property
    def ports(self) -> dict[str, int]:
        """The named ports of those containers that run on."""
        return {
            port["name"]: port["containerPort"]
            for container in self.template["spec"]["containers"]
            for port in container.get("ports") or []
            if "name" in port
        }

    def needs(self, key: str) -> Fraction:
        """Return how much of a quota's `requests.X` or `limits.X` one takes, as Kubernetes counts."""
        spec = self.template["spec"]
        first = spec.get("initContainers") or []
        stay = [entry for entry in first if entry.get("restartPolicy") == "Always"]
        together = sum((amount(entry, key) for entry in [*spec["containers"], *stay]), Fraction())
        alone = [amount(entry, key) for entry in first if entry not in stay]
        return max([together, *alone])


UNITS = {"m": Fraction(1, 1000)}
UNITS |= {unit: Fraction(1000**power) for power, unit in enumerate(("", "k", "M", "G", "T"))}
UNITS |= {f"{unit}i": Fraction(1024**power) for power, unit in enumerate("KMGT", start=1)}


def quantity(text: object) -> Fraction:
    """Return the number that a quantity stands for."""
    value = str(text)
    number = value.rstrip("".join(UNITS))
    return Fraction(number) * UNITS[value[len(number) :]]


def resources(container: Object, verb: str) -> dict[str, str]:
    """Return the requests or limits of a container; what it does not request is its limit."""
    stated = container.get("resources") or {}
    limits = stated.get("limits") or {}
    return {**limits, **(stated.get("requests") or {})} if verb == "requests" else dict(limits)


def amount(container: Object, key: str) -> Fraction:
    """Return what a container has for a quota's `requests.X` or `limits.X`."""
    verb, resource = key.split(".")
    return quantity(resources(container, verb).get(resource, 0))


def most(entry: Object) -> int:
    """Return how many pods a workload has at most, all of the new version beside the old one."""
    spec = entry["spec"]
    stated = [spec.get(name) for name in ("replicas", "parallelism", "shards")]
    replicas = math.prod(1 if count is None else int(count) for count in stated)
    if entry["kind"] != "Deployment":
        return replicas
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return replicas
    surge = str((strategy.get("rollingUpdate") or {}).get("maxSurge", "25%"))
    if surge.endswith("%"):
        return replicas + math.ceil(replicas * int(surge[:-1]) / 100)
    return replicas + int(surge)


def pods(entries: list[Object]) -> list[Pod]:
    """Return the pods that workloads make, those of Prometheus' operator too."""
    found = []
    for entry in entries:
        kind = entry["kind"]
        if kind == "Pod":
            template = entry
        elif kind in ("Prometheus", "Alertmanager"):
            template = operated(entry, entries)
        elif kind in ("DaemonSet", "Deployment", "Job", "Rollout", "StatefulSet"):
            template = with_volumes(entry["spec"])
        else:
            continue
        meta = entry["metadata"]
        found.append(Pod(kind, meta["name"], meta["namespace"], template, most(entry)))
    return found


def with_volumes(spec: Object) -> Object:
    """Return a workload's template with the volumes that a StatefulSet adds."""
    template: Object = spec["template"]
    names = [claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates") or []]
    claims = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in names]
    volumes = [*(template["spec"].get("volumes") or []), *claims]
    return {**template, "spec": {**template["spec"], "volumes": volumes}}


# What the operator listens on when the object does not say it.
OPERATED_PORTS = {"Prometheus": 9090, "Alertmanager": 9093}


def operated(entry: Object, entries: list[Object]) -> Object:
    """Return the pod that Prometheus' operator makes of an object, as far as we judge it here.

    A test that runs the real operator compares it.
    """
    name, spec = entry["kind"].lower(), entry["spec"]
    (operator,) = (
        found
        for found in entries
        if found["kind"] == "Deployment" and found["metadata"]["name"].endswith("-operator")
    )
    flags = dict(
        flag.lstrip("-").split("=", 1)
        for flag in operator["spec"]["template"]["spec"]["containers"][0]["args"]
        if "=" in flag
    )
    reloader: Object = {"resources": {"requests": {}, "limits": {}}}
    for verb in ("request", "limit"):
        for resource in ("cpu", "memory"):
            value = flags.get(f"config-reloader-{resource}-{verb}", "0")
            if value != "0":
                reloader["resources"][f"{verb}s"][resource] = value
    main = {
        "name": name,
        "resources": spec["resources"],
        "ports": [{"name": spec["portName"], "containerPort": OPERATED_PORTS[entry["kind"]]}],
    }
    label = {"prometheus": "operator.prometheus.io/name"}.get(name, name)
    web = {"ports": [{"name": "reloader-web", "containerPort": 8080}]}
    return {
        "metadata": {"labels": {"app.kubernetes.io/name": name, label: entry["metadata"]["name"]}},
        "spec": {
            "initContainers": [{"name": "init-config-reloader", **reloader}],
            "containers": [main, {"name": "config-reloader", **reloader, **web}],
        },
    }


def singles(selector: Object | None) -> Iterator[dict[str, str]]:
    """Yield the labels that a selector asks for: one set for each of the values that it lists."""
    found: list[dict[str, str]] = [dict((selector or {}).get("matchLabels") or {})]
    for expression in (selector or {}).get("matchExpressions") or []:
        assert expression["operator"] == "In", f"{expression}: this test knows In alone"
        key = expression["key"]
        found = [{**one, key: value} for one in found for value in expression["values"]]
    yield from found


def having(labels: dict[str, str], among: list[Pod]) -> list[Pod]:
    """Return the pods that have all of these labels."""
    return [pod for pod in among if labels.items() <= pod.labels.items()]
