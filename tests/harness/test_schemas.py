"""The schemas judge what they should: every kind has one, and a field that no one knows is refused."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import Tools

from tools import fetch, schemas


def judge(tools: Tools, objects: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """Return status and message for each object, by the object's name."""
    folder = schemas.folder()
    result = subprocess.run(
        [
            *(tools.path("kubeconform"), "-strict", "-verbose", "-output=json"),
            f"-schema-location={folder}/core/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json",
            f"-schema-location={folder}/{{{{ .Group }}}}/{{{{ .ResourceKind }}}}_{{{{ .ResourceAPIVersion }}}}.json",
        ],
        input="\n---\n".join(json.dumps(item) for item in objects),
        capture_output=True,
        text=True,
        check=False,
    )
    entries = json.loads(result.stdout)["resources"]
    return {entry["name"]: (entry["status"], entry.get("msg", "")) for entry in entries}


@pytest.mark.slow
def test_every_schema_can_be_read(tools: Tools) -> None:
    objects: list[dict[str, Any]] = []
    for file in schemas.folder().glob("*.*/*.json"):
        kind, version = file.stem.split("_")
        api = f"{file.parent.name}/{version}"
        objects.append({"apiVersion": api, "kind": kind, "metadata": {"name": f"{kind}-{version}"}})
    assert len(objects) > 40
    unread = [name for name, (status, _) in judge(tools, objects).items() if "Error" in status]
    assert unread == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("api", "kind", "good", "bad"),
    [
        ("v1", "ConfigMap", {"data": {"a": "b"}}, {"dat": {}}),
        ("apps/v1", "Deployment", {}, {"spec": {"replica": 1}}),
        ("networking.k8s.io/v1", "NetworkPolicy", {}, {"spec": {"podselector": {}}}),
        ("monitoring.coreos.com/v1", "PrometheusRule", {"spec": {}}, {"spec": {"group": []}}),
        ("argoproj.io/v1alpha1", "AppProject", {"spec": {}}, {"spec": {"sourceRepo": []}}),
        ("argoproj.io/v1alpha1", "Rollout", {"spec": {}}, {"spec": {"replica": 1}}),
        ("external-secrets.io/v1", "ClusterSecretStore", {}, {"spec": {"provider": {"awss": {}}}}),
        (
            "policies.kyverno.io/v1",
            "PolicyException",
            {"spec": {"policyRefs": []}},
            {"spec": {"policyRef": []}},
        ),
        (
            "argoproj.io/v1alpha1",
            "Rollout",
            {"spec": {}},
            {"metadata": {"name": "bad", "label": {}}},
        ),
        ("argoproj.io/v1alpha1", "Tollout", None, {}),
    ],
)
def test_an_unknown_field_or_kind_is_refused(
    tools: Tools, api: str, kind: str, good: dict[str, Any] | None, bad: dict[str, Any]
) -> None:
    objects = [
        {"apiVersion": api, "kind": kind, "metadata": {"name": name}, **fields}
        for name, fields in (("good", good), ("bad", bad))
        if fields is not None
    ]
    found = judge(tools, objects)
    if good is not None:
        assert found["good"][0] == "statusValid", found
    assert found["bad"][0] != "statusValid"
    assert "additional properties" in found["bad"][1] or "could not find schema" in found["bad"][1]


def test_what_a_crd_leaves_open_stays_open() -> None:
    part = {
        "type": "object",
        "description": "left out",
        "properties": {
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "port": {"x-kubernetes-int-or-string": True},
            "list": {"type": "array", "items": {"type": "object", "properties": {}}},
            "gone": {"type": "string", "nullable": True},
            "whole": {"type": "object", "x-kubernetes-embedded-resource": True},
        },
    }
    strict = schemas.strict(part)
    assert strict["additionalProperties"] is False and "description" not in strict
    fields = strict["properties"]
    assert "additionalProperties" not in fields["open"]
    assert fields["labels"]["additionalProperties"] == {"type": "string"}
    assert fields["port"]["anyOf"] == [{"type": "integer"}, {"type": "string"}]
    assert fields["list"]["items"]["additionalProperties"] is False
    assert fields["gone"]["anyOf"][1] == {"type": "null"}
    assert set(fields["whole"]["properties"]) == {"apiVersion", "kind", "metadata"}


def test_a_failed_download_leaves_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "CACHE", tmp_path)
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    with pytest.raises(fetch.FetchError, match=r"getting the schemas of Kubernetes"):
        schemas.folder()
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == ["uv"]
