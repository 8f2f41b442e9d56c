"""What Argo CD would apply of a generated repository, as the repository's own command prints it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import yaml
from support import run

from tools import fetch

ENVIRONMENTS = ("dev", "staging", "production")
NO_DIGEST = "sha256:" + "0" * 64
DIGEST = "sha256:" + "a" * 64
# A registry and a network that a real environment could have; the account is AWS's own example.
FACTS = {
    "registry": "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
    "loadBalancerCidr": "10.0.240.0/20",
}
Object = dict[str, Any]
Key = tuple[str, str, str, str]


@functools.cache
def render(repository: Path, environment: str) -> str:
    """Return what `make render` prints for an environment."""
    return run(
        "make", "--silent", "render", f"ENV={environment}", cwd=repository, path=fetch.commands()
    ).stdout


def objects(text: str) -> list[Object]:
    """Return the Kubernetes objects of a YAML text."""
    return [entry for entry in yaml.load_all(text, yaml.CSafeLoader) if entry]


def by_key(text: str) -> dict[Key, Object]:
    """Return the objects of a YAML text by group and version, kind, namespace and name."""
    found: dict[Key, Object] = {}
    for entry in objects(text):
        metadata = entry["metadata"]
        key = (entry["apiVersion"], entry["kind"], metadata.get("namespace", ""), metadata["name"])
        assert key not in found, f"{key} twice"
        found[key] = entry
    return found


def only(repository: Path, environment: str, kind: str, name: str = "") -> Object:
    """Return the only object of a kind, and of a name if given, that an environment gets."""
    (found,) = [
        entry
        for entry in objects(render(repository, environment))
        if entry["kind"] == kind and name in ("", entry["metadata"]["name"])
    ]
    return found
