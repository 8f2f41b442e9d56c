"""A vulnerability database for Trivy, of our own making: the real one comes from registries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools import fetch

WRITER = fetch.ROOT / "tools" / "bolt"
SEVERITIES = ("UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL")
# Trivy finds what is known of npm packages in buckets whose names begin with the ecosystem.
BUCKET = "npm::GitHub Security Advisory Npm"
SOURCE = {
    "ID": "ghsa",
    "Name": "GitHub Security Advisory Npm",
    "URL": "https://github.com/advisories?query=type%3Areviewed+ecosystem%3Anpm",
}


@dataclass(frozen=True)
class Advisory:
    """What is known of an npm package; without `fixed` there is no version that mends it."""

    identifier: str
    package: str
    vulnerable: str
    severity: str
    fixed: str = ""


def entries(advisories: Sequence[Advisory]) -> list[dict[str, Any]]:
    """Return what Trivy's database holds for these advisories, as tools/bolt takes it."""
    made = [{"buckets": ["data-source"], "key": BUCKET, "value": SOURCE}]
    for advisory in advisories:
        affected = {
            "VulnerableVersions": [advisory.vulnerable],
            "PatchedVersions": [advisory.fixed] if advisory.fixed else [],
        }
        detail = {
            "Title": f"{advisory.identifier} of {advisory.package}",
            "Severity": advisory.severity,
            "VendorSeverity": {"ghsa": SEVERITIES.index(advisory.severity)},
        }
        name = advisory.identifier
        made.append({"buckets": [BUCKET, advisory.package], "key": name, "value": affected})
        made.append({"buckets": ["vulnerability"], "key": name, "value": detail})
    return made


def make(cache: Path, advisories: Sequence[Advisory]) -> None:
    """Write a database into a cache folder of Trivy, which has none yet.

    Raises:
        FetchError: Go or the library could not be had.
    """
    folder = cache / "db"
    folder.mkdir(parents=True)
    listed = cache / "entries.json"
    listed.write_text(json.dumps(entries(advisories)), encoding="utf-8")
    command = ["run", "-C", str(WRITER), ".", str(listed), str(folder / "trivy.db")]
    fetch.go(command, "writing a vulnerability database")
    day = "2000-01-01T00:00:00Z"
    metadata = {"Version": 2, "NextUpdate": "2999-01-01T00:00:00Z", "UpdatedAt": day}
    (folder / "metadata.json").write_text(
        json.dumps(metadata | {"DownloadedAt": day}), encoding="utf-8"
    )
