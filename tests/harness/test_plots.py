"""Plots show every panel of the dashboards, whatever Prometheus returned."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from conftest import Bake
from monitoring.dashboards import panels

from tools import plots

SVG = "{http://www.w3.org/2000/svg}"
# One series that rises, one that pauses and is not a number in between, one with odd labels.
STARTED = 1_800_000_000
RISING = [[STARTED + n, str(n / 50)] for n in range(60)]
BROKEN = [[STARTED + n, "NaN" if n % 7 == 0 else "0.5"] for n in range(60) if not 20 < n < 30]
LABELS: list[dict[str, str]] = [
    {"service": "orders", "pod": "orders-1", "alertname": "HighErrorRate", "severity": "critical"},
    {"service": "a<b>&\"'", "pod": "p" * 90, "route": "/v1/<x>", "status_code": "503"},
]


def answer(*values: list[list[Any]]) -> dict[str, Any]:
    found = [
        {"metric": labels, "values": points} for labels, points in zip(LABELS, values, strict=False)
    ]
    return {"status": "success", "data": {"resultType": "matrix", "result": found}}


def saved(repository: Path, result: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"dashboard": uid, "panel": panel["title"], "ref": target["refId"], "result": result}
        for uid, panel in panels(repository)
        for target in panel["targets"]
    ]


def draw(repository: Path, folder: Path, queries: list[dict[str, Any]]) -> dict[str, ET.Element]:
    (folder / "queries.json").write_text(json.dumps(queries), encoding="utf-8")
    plots.main([str(folder), f"--dashboards={repository / 'monitoring/dashboards'}"])
    # Our own output, not somebody's.
    return {file.stem: ET.parse(file).getroot() for file in folder.glob("*.svg")}  # noqa: S314


def words(drawn: ET.Element) -> list[str]:
    return [element.text or "" for element in drawn.iter(f"{SVG}text")]


def test_every_panel_is_drawn_and_said_to_be_a_plot(bake: Bake, tmp_path: Path) -> None:
    repository = bake(rollout="canary")
    drawn = draw(repository, tmp_path, saved(repository, answer(RISING, BROKEN)))
    assert drawn.keys() == {"canary", "fleet-overview", "service-overview"}
    for uid, panel in panels(repository):
        said = words(drawn[uid])
        assert any(
            word.rstrip("…") and panel["title"].startswith(word.rstrip("…")) for word in said
        )
        assert any("not a screenshot of Grafana" in word for word in said)
    for root in drawn.values():
        lines = [line.get("points", "") for line in root.iter(f"{SVG}polyline")]
        assert lines and not [line for line in lines if "nan" in line or "inf" in line]


def test_what_is_drawn_is_what_was_returned(bake: Bake, tmp_path: Path) -> None:
    repository = bake()
    queries = saved(repository, answer(RISING))
    service = draw(repository, tmp_path, queries)["service-overview"]
    said = words(service)
    # 59 / 50 as the share of an objective, and as seconds since an alert has fired.
    assert "118.000 %" in said and "118.0 %" in said
    assert {"HighErrorRate", "critical", "1 s"} <= set(said)
    # A panel of one rising line: its first point is low, its last one high.
    line = next(root.get("points", "") for root in service.iter(f"{SVG}polyline")).split()
    (left, bottom), (right, top) = (tuple(map(float, line[n].split(","))) for n in (0, -1))
    assert left < right and top < bottom


def test_an_empty_panel_says_so(bake: Bake, tmp_path: Path) -> None:
    repository = bake()
    queries = [
        entry if entry["panel"] == "CPU" else {**entry, "result": answer()}
        for entry in saved(repository, answer(RISING))
        if entry["dashboard"] == "service-overview"
    ]
    said = words(draw(repository, tmp_path, queries)["service-overview"])
    assert "No alert fires." in said and "No data" in said


def test_nothing_at_all_is_an_error(bake: Bake, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no query returned anything"):
        draw(bake(), tmp_path, saved(bake(), answer()))


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "words_"),
    [
        (0.9995, "percentunit", 3, "99.950 %"),
        (-0.25, "percentunit", 1, "-25.0 %"),
        (0.0042, "s", None, "4.20 ms"),
        (90, "s", None, "90 s"),
        (5400, "dtdurations", 0, "2 h"),
        (268435456, "bytes", None, "256 MiB"),
        (12.5, "reqps", None, "12.5 req/s"),
        (0.25, "suffix: cores", 2, "0.25 cores"),
        (1234567, "none", None, "1,234,567"),
    ],
)
def test_values_are_written_in_their_unit(
    value: float, unit: str, decimals: int | None, words_: str
) -> None:
    assert plots.formatted(value, unit, decimals) == words_
