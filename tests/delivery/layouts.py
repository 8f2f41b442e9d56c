"""OCI layouts on disk: looking into them, and making variants with a further layer."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Json = dict[str, Any]


def blob(layout: Path, digest: str) -> Path:
    """Return the file of a digest."""
    return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")


def read(layout: Path, digest: str) -> Json:
    """Return what a digest of JSON holds."""
    content: Json = json.loads(blob(layout, digest).read_text(encoding="utf-8"))
    return content


def digest_of(layout: Path) -> str:
    """Return the digest of the image in a layout."""
    [image] = json.loads((layout / "index.json").read_text(encoding="utf-8"))["manifests"]
    return str(image["digest"])


def manifests(layout: Path) -> dict[str, Json]:
    """Return the descriptor of the image for each architecture."""
    listed = read(layout, digest_of(layout))["manifests"]
    return {entry["platform"]["architecture"]: entry for entry in listed}


def put(layout: Path, content: bytes) -> tuple[str, int]:
    """Store a content, and return its digest and size."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    blob(layout, digest).write_bytes(content)
    return digest, len(content)


def put_json(layout: Path, value: Json) -> tuple[str, int]:
    """Store JSON, and return its digest and size."""
    return put(layout, json.dumps(value).encode())


def variant(
    layout: Path, target: Path, files: Mapping[str, str], labels: Mapping[str, str] | None = None
) -> Path:
    """Copy an image, for all platforms with further files in a layer of their own, and labels."""
    shutil.copytree(layout, target)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    layer, size = put(target, stream.getvalue())
    added = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": size}

    index = read(target, digest_of(target))
    for entry in index["manifests"]:
        manifest = read(target, entry["digest"])
        config = read(target, manifest["config"]["digest"])
        config["rootfs"]["diff_ids"].append(layer)
        config["history"].append({"created_by": "a variant for a test"})
        config["config"]["Labels"].update(labels or {})
        manifest["layers"].append(added)
        digest, length = put_json(target, config)
        manifest["config"].update({"digest": digest, "size": length})
        digest, length = put_json(target, manifest)
        entry.update({"digest": digest, "size": length})
    digest, length = put_json(target, index)
    top = json.loads((target / "index.json").read_text(encoding="utf-8"))
    top["manifests"][0].update({"digest": digest, "size": length})
    (target / "index.json").write_text(json.dumps(top), encoding="utf-8")
    return target
