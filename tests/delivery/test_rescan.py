"""The daily scan gets the very images that the manifests name, and refuses others."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Deployable, Tools, commit
from support import free_port, run, with_facts

pytestmark = pytest.mark.long

OCI = "application/vnd.oci.image"


def blob(layout: Path, content: bytes, kind: str, **more: object) -> dict[str, Any]:
    """Write a blob of a layout and return its descriptor."""
    name = hashlib.sha256(content).hexdigest()
    (layout / "blobs/sha256").mkdir(parents=True, exist_ok=True)
    (layout / "blobs/sha256" / name).write_bytes(content)
    return {"mediaType": kind, "digest": f"sha256:{name}", "size": len(content), **more}


def write_layout(layout: Path) -> str:
    """Make an image for two platforms, without layers, as a layout; return its digest."""
    images = []
    for architecture in ("amd64", "arm64"):
        platform = {"os": "linux", "architecture": architecture}
        config = json.dumps({**platform, "rootfs": {"type": "layers", "diff_ids": []}}).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": blob(layout, config, f"{OCI}.config.v1+json"),
            "layers": [],
        }
        content = json.dumps(manifest).encode()
        images.append(blob(layout, content, f"{OCI}.manifest.v1+json", platform=platform))
    index = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": images}
    described = blob(layout, json.dumps(index).encode(), f"{OCI}.index.v1+json")
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))
    return str(described["digest"])


@contextlib.contextmanager
def registry(crane: Path) -> Iterator[str]:
    """A container registry on the loopback interface; yields its host."""
    port = free_port()
    host = f"127.0.0.1:{port}"
    process = subprocess.Popen(
        [crane, "registry", "serve", "--address", host],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://{host}/v2/", timeout=5).close()
                break
            assert time.monotonic() < end, "the registry does not answer"
            time.sleep(0.1)
        yield host
    finally:
        process.kill()
        process.wait()


def test_what_runs_is_listed_pulled_and_checked(
    deployable: Deployable, tools: Tools, tmp_path: Path
) -> None:
    path = tools.folder("node", "crane")
    layout = tmp_path / "layout"
    digest = write_layout(layout)
    with registry(tools.path("crane")) as host:
        repository = with_facts(deployable(), tmp_path, {"registry": host})
        image = f"{host}/acme-shop/orders"
        run(tools.path("crane"), "push", layout, f"{image}:first", cwd=tmp_path)

        release = repository / "deploy/apps/orders/overlays/staging/release.yaml"
        text = release.read_text(encoding="utf-8")
        release.write_text(re.sub(r"^  digest: .*$", f"  digest: {digest}", text, flags=re.M))
        commit(repository)
        script = repository / ".github/scripts"
        listed = run("node", script / "running-images.js", cwd=tmp_path, path=path).stdout
        (entry,) = json.loads(listed.split("images=")[1])
        assert entry["reference"] == f"{image}@{digest}" and entry["environments"] == ["staging"]

        pull = ("node", script / "pull.js", entry["reference"])
        result = run(*pull, tmp_path / "pulled", cwd=tmp_path, path=path)
        assert "linux/amd64, linux/arm64" in result.stdout
        pulled = json.loads((tmp_path / "pulled/index.json").read_text())
        assert [entry["digest"] for entry in pulled["manifests"]] == [digest]

        other = f"{image}@sha256:{'0' * 64}"
        refused = run(
            "node", script / "pull.js", other, tmp_path / "other", cwd=tmp_path, path=path,
            check=False,
        )  # fmt: skip
        assert refused.returncode != 0 and "MANIFEST_UNKNOWN" in refused.stderr
