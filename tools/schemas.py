"""JSON schemas for kubeconform: Kubernetes' own, and those of the CRDs of the platform's parts.

All refuse fields that the API does not know. With the result of `folder` in SCHEMAS this judges
manifests, and ends with an error for a kind without schema:

    kubeconform -strict -summary \
      -schema-location "$SCHEMAS/core/{{ .ResourceKind }}{{ .KindSuffix }}.json" \
      -schema-location "$SCHEMAS/{{ .Group }}/{{ .ResourceKind }}_{{ .ResourceAPIVersion }}.json" \
      manifests/

A schema does not know the rules that a CRD writes in CEL (x-kubernetes-validations): only an API
server does. See `crds` for that.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tools import fetch

# The Python package that carries them is named by the version that they describe.
KUBERNETES = "1.36.0"


@dataclass(frozen=True)
class CRDs:
    """CustomResourceDefinitions in a Go module: the YAML files that a pattern matches."""

    module: str
    version: str
    pattern: str


# At the versions that the charts below deploy/platform install, but for one: the module of
# external-secrets 2 can't be had, so its schemas are those of the last 1.x. Both serve v1.
SOURCES = (
    CRDs("github.com/argoproj/argo-cd/v3", "v3.5.3", "manifests/crds/*-crd.yaml"),
    CRDs("github.com/argoproj/argo-rollouts", "v1.9.0", "manifests/crds/*-crd.yaml"),
    CRDs(
        "github.com/prometheus-operator/prometheus-operator",
        "v0.93.1",
        "example/prometheus-operator-crd/*.yaml",
    ),
    CRDs("github.com/kyverno/kyverno", "v1.19.1", "config/crds/policies.kyverno.io/*.yaml"),
    CRDs(
        "github.com/external-secrets/external-secrets",
        "v1.3.2",
        "config/crds/bases/external-secrets.io_*.yaml",
    ),
)

Schema = dict[str, Any]

# What every object has, whether its CRD says so or not.
TYPE: Schema = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
META: Schema = {
    "$ref": "../core/_definitions.json#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
}


class Reader(yaml.CSafeLoader):
    """A YAML reader for which a lone `=` is a text, as for Kubernetes, and not a YAML 1.1 mark."""

    def construct_value(self, node: yaml.ScalarNode) -> str:
        """Return the text of a lone `=`."""
        return str(node.value)


Reader.add_constructor("tag:yaml.org,2002:value", Reader.construct_value)


def strict(schema: Schema) -> Schema:
    """Return a part of a CRD's schema as JSON schema that refuses what the API server would drop.

    `anyOf` and its kin hold no fields of their own there, so they stay as they are.
    """
    result = {key: value for key, value in schema.items() if key != "description"}
    if "properties" in schema:
        result["properties"] = {key: strict(value) for key, value in schema["properties"].items()}
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            result[inner] = strict(schema[inner])
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields")
    if schema.get("type") == "object" and not open_ended:
        result.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-embedded-resource"):
        result["properties"] = {**TYPE, "metadata": META, **result.get("properties", {})}
    if schema.get("x-kubernetes-int-or-string"):
        result.setdefault("anyOf", [{"type": "integer"}, {"type": "string"}])
    if schema.get("nullable"):
        return {"anyOf": [result, {"type": "null"}]}
    return result


def convert(crd: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield a schema for each served version of a CRD, with its place below the folder."""
    spec = crd["spec"]
    kind = spec["names"]["kind"].lower()
    for version in spec["versions"]:
        if version["served"]:
            schema = strict(version["schema"]["openAPIV3Schema"])
            schema["properties"] = {**schema["properties"], **TYPE, "metadata": META}
            yield f"{spec['group']}/{kind}_{version['name']}.json", schema


def write_core(target: Path, scratch: Path) -> None:
    """Write Kubernetes' own schemas, with references that lead to the file beside them."""
    requirement = f"kubernetes-validate=={KUBERNETES}"
    fetch.unpack_wheel(requirement, scratch, f"getting the schemas of Kubernetes {KUBERNETES}")
    folder = scratch / "kubernetes_validate" / "kubernetes-json-schema"
    target.mkdir()
    for file in (folder / f"v{KUBERNETES}-local-strict").glob("*.json"):
        schema = json.loads(file.read_text(encoding="utf-8"))
        # Without an id, references are sought beside the file; without a draft, kubeconform takes
        # an older one that it is five times as fast with, and that knows all that is used here.
        schema = {key: value for key, value in schema.items() if key not in ("$id", "$schema")}
        text = json.dumps(schema).replace('"/api/_definitions.json', '"_definitions.json')
        (target / file.name).write_text(text, encoding="utf-8")


def write_crds(target: Path) -> None:
    """Write the CRDs of all sources into target/crds, and their schemas below target."""
    (target / "crds").mkdir()
    for source in SOURCES:
        what = f"getting the CRDs of {source.module} {source.version}"
        files = sorted(fetch.go_module(source.module, source.version, what).glob(source.pattern))
        if not files:
            raise fetch.FetchError(f"{what}: it holds no {source.pattern}")
        for file in files:
            shutil.copyfile(file, target / "crds" / file.name)
            for place, schema in convert(Reader(file.read_bytes()).get_single_data()):
                (target / place).parent.mkdir(exist_ok=True)
                (target / place).write_text(json.dumps(schema), encoding="utf-8")


def folder() -> Path:
    """Return the folder of all schemas, getting what they are made of if need be.

    Raises:
        FetchError: something could not be had.
    """
    # This file says what goes in, and how.
    key = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    home = fetch.CACHE / f"schemas-{key}"
    with fetch.locked(home):
        if not home.is_dir():
            fetch.say("getting JSON schemas, once; about 10 s")
            with tempfile.TemporaryDirectory(dir=fetch.CACHE, prefix=".schemas-") as scratch:
                making = Path(scratch, "new")
                making.mkdir()
                write_core(making / "core", Path(scratch, "wheel"))
                write_crds(making)
                making.rename(home)
    return home


def crds() -> list[Path]:
    """Return the CRDs as YAML files, for an API server.

    Apply them with `kubectl apply --server-side`: some are too large for the annotation that
    `kubectl apply` keeps otherwise.
    """
    return sorted((folder() / "crds").iterdir())


if __name__ == "__main__":
    try:
        print(folder())
    except fetch.FetchError as error:
        sys.exit(str(error))
