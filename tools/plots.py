"""Draws dashboards from saved query results, as one SVG each, for the docs.

These are plots in the layout of the dashboards, not screenshots: Grafana takes no part.
`python -m tools.plots FOLDER` reads FOLDER/queries.json, a list of {dashboard, panel, ref, expr,
result}: the uid of the dashboard, the title of the panel (or annotation), the refId of the query,
and Prometheus' answer to `query_range`. It writes FOLDER/UID.svg.
"""

from __future__ import annotations

import argparse
import html
import itertools
import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DASHBOARDS = ROOT / "<<cookiecutter.project_slug>>" / "monitoring" / "dashboards"

COLUMN, LINE, GAP, MARGIN, HEAD = 54, 38, 8, 12, 58
COLORS = {
    "green": "#56a64b",
    "red": "#e02f44",
    "orange": "#ff780a",
    "yellow": "#e0b400",
    "blue": "#3274d9",
    "purple": "#a352cc",
    "text": "#5a616b",
    "semi-dark-blue": "#5b8def",
}
PALETTE = (
    *("#56a64b", "#3274d9", "#ff780a", "#a352cc", "#e0b400", "#19a7b5", "#e02f44"),
    *("#8ab8ff", "#96d98d", "#ffb357", "#ca95e5", "#7a5c3e"),
)
INK, FAINT, LINES, PAPER, BACK = "#24292e", "#6b727b", "#e3e5e8", "#ffffff", "#f4f5f5"
Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """What one query returned under one set of labels. Points are time and value."""

    name: str
    ref: str
    labels: dict[str, str]
    points: tuple[Point, ...]


# ------------------------------------------------------------------------------- formats


def number(value: float, decimals: int | None = None) -> str:
    """Return a number in few digits, or with a given number of decimals."""
    if decimals is None:
        size = abs(value)
        decimals = 0 if size >= 100 or value == int(value) else 1 if size >= 10 else 2
        if 0 < size < 0.01:
            return f"{value:.1g}"
    return f"{value:,.{decimals}f}"


def formatted(value: float, unit: str, decimals: int | None = None) -> str:
    """Return a value as Grafana would write it in a unit."""
    if unit == "percentunit":
        return f"{number(value * 100, decimals)} %"
    if unit == "s":
        size = abs(value)
        if size < 1:
            return f"{number(value * 1000, decimals)} ms" if size >= 0.001 or not size else "<1 ms"
        return f"{number(value, decimals)} s"
    if unit == "dtdurations":
        for length, name in ((86400, "d"), (3600, "h"), (60, "min")):
            if value >= length:
                return f"{number(value / length, decimals)} {name}"
        return f"{number(value, decimals)} s"
    if unit == "bytes":
        for length, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
            if abs(value) >= length:
                return f"{number(value / length, decimals)} {name}"
        return f"{number(value, 0)} B"
    if unit == "reqps":
        return f"{number(value, decimals)} req/s"
    suffix = unit.removeprefix("suffix:") if unit.startswith("suffix:") else ""
    return number(value, decimals) + suffix


def ticks(low: float, high: float, unit: str, wanted: int = 4) -> list[float]:
    """Return round numbers that divide a range."""
    rough = (high - low) / wanted or 1
    base, factors = 10, [1, 2, 2.5, 5, 10]
    if unit == "bytes":
        base, factors = 1024, [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1024]
    power = base ** math.floor(math.log(rough, base))
    step = next(power * factor for factor in factors if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [step * n for n in range(first, math.floor(high / step + 1e-9) + 1)]


def shortened(text: str, width: float, size: float = 11) -> str:
    """Cut a text that is wider than a number of pixels."""
    most = max(int(width / (size * 0.56)), 1)
    return text if len(text) <= most else text[: most - 1] + "…"


def text(x: float, y: float, words: str, size: float = 11, **style: str | int | float) -> str:
    """Return a text element."""
    attributes = {"fill": INK, **style}
    shown = " ".join(f'{key.replace("_", "-")}="{value}"' for key, value in attributes.items())
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" {shown}>{html.escape(words)}</text>'


def box(x: float, y: float, w: float, h: float, fill: str, **style: str | int | float) -> str:
    """Return a rectangle."""
    shown = " ".join(f'{key.replace("_", "-")}="{value}"' for key, value in style.items())
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(w, 0):.1f}" height="{max(h, 0):.1f}" '
        f'fill="{fill}" {shown}/>'
    )


def line(x: float, y: float, to_x: float, to_y: float, color: str, dash: str = "none") -> str:
    """Return a thin line."""
    return (
        f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" '
        f'stroke="{color}" stroke-dasharray="{dash}"/>'
    )


def lighter(color: str, share: float) -> str:
    """Return a colour that is nearer to white."""
    parts = [int(color[n : n + 2], 16) for n in (1, 3, 5)]
    return "#" + "".join(f"{round(part + (255 - part) * min(share, 0.8)):02x}" for part in parts)


def mixed(share: float) -> str:
    """Return a colour between red (0), yellow and green (1)."""
    stops = [(224, 47, 68), (224, 180, 0), (86, 166, 75)]
    place = min(max(share, 0), 1) * 2
    low = min(int(place), 1)
    mix = [
        round(a + (b - a) * (place - low)) for a, b in zip(stops[low], stops[low + 1], strict=True)
    ]
    return "#" + "".join(f"{part:02x}" for part in mix)


# ------------------------------------------------------------------------------- panels


@dataclass(frozen=True)
class Frame:
    """The times that a dashboard shows, and when something happened: a colour and a time."""

    start: float
    end: float
    step: float
    marks: tuple[tuple[str, float], ...]


class Panel:
    """A panel with its data, in its place."""

    def __init__(self, model: dict[str, Any], series: Sequence[Series], frame: Frame) -> None:
        self.model = model
        self.series = series
        self.frame = frame
        place = model["gridPos"]
        self.x = MARGIN + place["x"] * COLUMN
        self.y = HEAD + place["y"] * LINE
        self.w = place["w"] * COLUMN - GAP
        self.h = place["h"] * LINE - GAP
        self.options: dict[str, Any] = model.get("options", {})

    def settings(self, name: str, key: str) -> Any:  # noqa: ANN401 - JSON has all kinds
        """Return a setting of a series or column, from its overrides or the defaults."""
        config = self.model["fieldConfig"]
        value = config["defaults"]
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        for override in config["overrides"]:
            kind, wanted = override["matcher"]["id"], override["matcher"]["options"]
            fits = (
                bool(re.search(wanted.strip("/"), name)) if kind == "byRegexp" else wanted == name
            )
            if fits:
                for entry in override["properties"]:
                    if entry["id"] == key:
                        value = entry["value"]
        return value

    def shown(self, name: str, value: float) -> str:
        """Return a value in words."""
        for mapping in self.settings(name, "mappings") or []:
            if text_ := mapping["options"].get(f"{value:g}", {}).get("text"):
                return str(text_)
        return formatted(value, self.settings(name, "unit"), self.settings(name, "decimals"))

    def color(self, name: str, value: float | None = None) -> str | None:
        """Return the colour of a series, or of a value when values decide."""
        for mapping in self.settings(name, "mappings") or []:
            key = name if value is None else f"{value:g}"
            if found := mapping["options"].get(key, {}).get("color"):
                return COLORS[found]
        mode = self.settings(name, "color") or {}
        if "fixedColor" in mode:
            return COLORS[mode["fixedColor"]]
        if value is not None and mode.get("mode") == "continuous-RdYlGr":
            low, high = self.settings(name, "min"), self.settings(name, "max")
            return mixed((value - low) / (high - low))
        if value is not None and mode.get("mode") == "thresholds":
            return COLORS[
                [
                    step["color"]
                    for step in self.settings(name, "thresholds")["steps"]
                    if step["value"] is None or value >= step["value"]
                ][-1]
            ]
        return None

    def last(self, series: Series) -> float | None:
        """Return the value at the end, if there is one."""
        fresh = [value for at, value in series.points if at > self.frame.end - 3 * self.frame.step]
        return fresh[-1] if fresh else None

    def draw(self) -> Iterator[str]:
        """Yield the elements of the panel."""
        if self.model["type"] == "row":
            yield text(self.x, self.y + LINE - GAP - 6, self.model["title"], 15, font_weight=600)
            return
        yield box(self.x, self.y, self.w, self.h, PAPER, stroke=LINES, rx=3)
        title = shortened(self.model["title"], self.w - 20, 12.5)
        yield text(self.x + 9, self.y + 19, title, 12.5, font_weight=600)
        kind = {
            "timeseries": self.draw_lines,
            "stat": self.draw_stat,
            "bargauge": self.draw_bars,
            "table": self.draw_table,
        }
        yield from kind[self.model["type"]]()

    def draw_nothing(self) -> Iterator[str]:
        """Say that there is nothing."""
        words = self.model["fieldConfig"]["defaults"].get("noValue", "No data")
        yield text(
            self.x + self.w / 2, self.y + self.h / 2 + 10, words, 13,
            fill=FAINT, text_anchor="middle",
        )  # fmt: skip

    # -- time series

    def scale(self, drawn: Iterable[Sequence[Point]]) -> tuple[float, float]:
        """Return the lowest and the highest value of the axis."""
        values = [value for points in drawn for _, value in points]
        low = self.settings("", "min")
        soft = self.settings("", "custom.axisSoftMax")
        high = max([*values, *([soft] if soft is not None else [])], default=1)
        if low is None:
            low = min(values, default=0)
        if high <= low:
            high = low + 1
        most = self.settings("", "max")
        return low, high if most is None else min(high * 1.05, most)

    def path(self, points: Sequence[Point], low: float, high: float, steps: bool) -> list[str]:
        """Return the lines through points, a new one after each gap."""
        left, top, width, height = self.area
        frame = self.frame
        parts: list[list[tuple[float, float]]] = []
        before = -math.inf
        for at, value in points:
            x = left + (at - frame.start) / (frame.end - frame.start) * width
            y = top + height * (1 - (min(value, high) - low) / (high - low))
            if at - before > 2.5 * frame.step:
                parts.append([])
            elif steps and parts[-1]:
                parts[-1].append((x, parts[-1][-1][1]))
            parts[-1].append((x, y))
            before = at
        lines = []
        for part in parts:
            kept = [
                point
                for n, point in enumerate(part)
                if n in (0, len(part) - 1)
                or not abs(part[n - 1][1] - point[1]) < 0.05 > abs(part[n + 1][1] - point[1])
            ]
            lines.append(" ".join(f"{x:.1f},{y:.1f}" for x, y in kept))
        return lines

    @property
    def area(self) -> tuple[float, float, float, float]:
        """Where lines are drawn: left, top, width, height."""
        return self.x + 62, self.y + 32, self.w - 74, self.h - 84

    def draw_lines(self) -> Iterator[str]:
        """Draw lines over time, stacked where the panel says so, and a legend."""
        if not self.series:
            yield from self.draw_nothing()
            return
        left, top, width, height = self.area
        stacked = self.settings("", "custom.stacking.mode") == "normal"
        below: dict[float, float] = {}
        drawn: list[tuple[Series, list[Point], list[Point]]] = []
        for entry in self.series:
            base = [(at, below.get(at, 0.0)) for at, _ in entry.points]
            points = list(entry.points)
            if stacked:
                points = [(at, value + below.get(at, 0)) for at, value in entry.points]
                below |= dict(points)
            drawn.append((entry, points, base))
        low, high = self.scale(points for _, points, _ in drawn)
        yield from self.draw_axes(low, high)
        steps = self.settings("", "custom.lineInterpolation") == "stepAfter"
        colors = self.line_colors()
        by_name = {entry.name: points for entry, points, _ in drawn}
        # The first lies at the bottom of a stack, and the last would hide it.
        for entry, points, base in reversed(drawn) if stacked else drawn:
            color = colors[entry.name, id(entry)]
            opacity = (self.settings(entry.name, "custom.fillOpacity") or 0) / 100
            if opacity:
                under = by_name.get(self.settings(entry.name, "custom.fillBelowTo"), base)
                floor = dict(under)
                edge = [(at, max(floor.get(at, low), low)) for at, _ in points]
                ends = zip(
                    self.path(points, low, high, steps),
                    self.path(edge, low, high, steps),
                    strict=False,
                )
                for upper, lower in ends:
                    back = " ".join(reversed(lower.split()))
                    yield f'<polygon points="{upper} {back}" fill="{color}" opacity="{opacity}"/>'
            thickness = self.settings(entry.name, "custom.lineWidth") or 0
            dash = self.settings(entry.name, "custom.lineStyle")
            style = ' stroke-dasharray="6 5"' if dash else ""
            for course in self.path(points, low, high, steps) if thickness else []:
                yield (
                    f'<polyline points="{course}" fill="none" stroke="{color}" '
                    f'stroke-width="{min(thickness, 1.6)}" stroke-linejoin="round"{style}/>'
                )
        if self.settings("", "custom.thresholdsStyle.mode") == "dashed":
            for step in self.settings("", "thresholds")["steps"]:
                if step["value"] is not None and low < step["value"] <= high:
                    y = top + height * (1 - (step["value"] - low) / (high - low))
                    yield line(left, y, left + width, y, COLORS[step["color"]], "7 5")
        yield from self.draw_legend(colors)

    def line_colors(self) -> dict[tuple[str, int], str]:
        """Return the colour of each series."""
        free = iter(PALETTE * (len(self.series) // len(PALETTE) + 1))
        used: list[str] = []
        found = {}
        for entry in self.series:
            color = self.color(entry.name) or next(free)
            if (self.settings(entry.name, "color") or {}).get("mode") == "shades":
                used.append(color)
                color = lighter(color, (used.count(color) - 1) * 0.3)
            found[entry.name, id(entry)] = color
        return found

    def draw_axes(self, low: float, high: float) -> Iterator[str]:
        """Draw the grid, its labels, and the marks of what happened."""
        left, top, width, height = self.area
        unit, decimals = self.settings("", "unit"), self.settings("", "decimals")
        for value in ticks(low, high, unit):
            y = top + height * (1 - (value - low) / (high - low))
            yield line(left, y, left + width, y, LINES)
            fits = None if decimals is None or round(value, decimals) != value else decimals
            label = formatted(value, unit, fits)
            yield text(left - 6, y + 4, label, 10, fill=FAINT, text_anchor="end")
        span = self.frame.end - self.frame.start
        lengths = (10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 10800, 21600, 86400)
        step = next((length for length in lengths if span / length <= width / 70), lengths[-1])
        at = math.ceil(self.frame.start / step) * step
        while at <= self.frame.end:
            x = left + (at - self.frame.start) / span * width
            label = datetime.fromtimestamp(at, UTC).strftime("%H:%M" if step >= 60 else "%H:%M:%S")
            yield line(x, top, x, top + height, LINES)
            yield text(x, top + height + 14, label, 10, fill=FAINT, text_anchor="middle")
            at += step
        for color, when in self.frame.marks:
            x = left + (when - self.frame.start) / span * width
            yield line(x, top, x, top + height, color, "2 3")
            yield f'<path d="M{x - 4:.1f} {top + height + 5:.1f}h8l-4 -6z" fill="{color}"/>'

    def draw_legend(self, colors: dict[tuple[str, int], str]) -> Iterator[str]:
        """Write the names of series in two lines, and how many did not fit."""
        left, right = self.x + 12.0, self.x + self.w - 8.0
        x, y, last = left, self.y + self.h - 24.0, self.y + self.h - 9.0
        for n, entry in enumerate(self.series):
            name = shortened(entry.name, right - left - 90)
            length = 26 + len(name) * 6.2
            if x > left and y < last and x + length > right:
                x, y = left, last
            more = len(self.series) - n
            if y == last and x + length > right - (70 if more > 1 else 0):
                yield text(x, y + 4, f"and {more} more", 11, fill=FAINT)
                return
            yield box(x, y - 1, 12, 3, colors[entry.name, id(entry)])
            yield text(x + 16, y + 4, name, 11)
            x += length

    # -- single values

    def draw_stat(self) -> Iterator[str]:
        """Write the last value of each series."""
        values = [(entry, self.last(entry)) for entry in self.series]
        present = [(entry, value) for entry, value in values if value is not None]
        if not present:
            yield from self.draw_nothing()
            return
        top, each = self.y + 30, (self.h - 38) / len(present)
        for n, (entry, value) in enumerate(present):
            y = top + n * each
            color = self.color(entry.name, value) or INK
            words = self.shown(entry.name, value)
            size = min(26, each * 0.62, self.w / (len(words) * 0.62 + 1))
            if self.options["graphMode"] == "area":
                yield from self.draw_spark(entry, y + each * 0.45, each * 0.5, color)
            if self.options["colorMode"] == "background":
                yield box(self.x + 8, y, self.w - 16, each, color, rx=3)
                color = PAPER
            if self.options["textMode"] == "value_and_name" and len(present) > 1:
                middle = y + each / 2 + size / 3
                yield text(self.x + 14, middle, entry.name, min(13, each * 0.6), fill=FAINT)
                yield text(
                    self.x + self.w - 14, middle, words, round(size, 1),
                    fill=color, text_anchor="end", font_weight=600,
                )  # fmt: skip
            else:
                yield text(
                    self.x + self.w / 2, y + each / 2 + size / 3, words, round(size, 1),
                    fill=color, text_anchor="middle", font_weight=600,
                )  # fmt: skip

    def draw_spark(self, entry: Series, top: float, height: float, color: str) -> Iterator[str]:
        """Draw the course of a value below it."""
        values = [value for _, value in entry.points]
        low, high = min(values), max(values)
        span = (high - low) or 1
        frame = self.frame
        points = [
            (
                self.x + 8 + (at - frame.start) / (frame.end - frame.start) * (self.w - 16),
                top + height * (1 - (value - low) / span * 0.9),
            )
            for at, value in entry.points[:: max(len(entry.points) // 60, 1)]
        ]
        course = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        floor = f"{points[-1][0]:.1f},{top + height:.1f} {points[0][0]:.1f},{top + height:.1f}"
        yield f'<polygon points="{course} {floor}" fill="{color}" fill-opacity="0.12"/>'

    def draw_bars(self) -> Iterator[str]:
        """Draw the last value of each series as a bar."""
        values = [(entry.name, self.last(entry)) for entry in self.series]
        present = [(name, value) for name, value in values if value is not None]
        if not present:
            yield from self.draw_nothing()
            return
        # Only an instant query is sorted by Prometheus.
        first = self.model["targets"][0]["expr"]
        if first.startswith("sort"):
            present.sort(key=lambda entry: entry[1], reverse=first.startswith("sort_desc"))
        most = self.settings("", "max") or max(value for _, value in present) or 1
        each = min((self.h - 40) / len(present), 40)
        names = min(max(len(name) for name, _ in present) * 6.4 + 10, self.w * 0.4)
        for n, (name, value) in enumerate(present):
            y = self.y + 32 + n * each
            full = self.w - names - 106
            color = self.color(name, value) or COLORS["blue"]
            yield text(self.x + 12, y + each / 2 + 4, shortened(name, names), 11)
            yield box(self.x + names + 12, y + 4, full, each - 8, BACK, rx=2)
            length = full * min(max(value / most, 0), 1)
            yield box(self.x + names + 12, y + 4, length, each - 8, color, rx=2)
            words = self.shown(name, value)
            yield text(
                self.x + self.w - 12, y + each / 2 + 4, words, 12,
                fill=color, text_anchor="end", font_weight=600,
            )  # fmt: skip

    # -- tables

    def rows(self) -> list[dict[str, str | float]]:
        """Return the rows of the table, with the names that its columns have at first."""
        merged = any(entry["id"] == "merge" for entry in self.model["transformations"])
        found: dict[tuple[tuple[str, str], ...], dict[str, str | float]] = {}
        for entry in self.series:
            value = self.last(entry)
            if value is None:
                continue
            row = found.setdefault(tuple(sorted(entry.labels.items())), {**entry.labels})
            row[f"Value #{entry.ref}" if merged else "Value"] = value
        return list(found.values())

    def draw_table(self) -> Iterator[str]:
        """Draw rows in the order that the panel says."""
        rows = self.rows()
        if not rows:
            yield from self.draw_nothing()
            return
        options = self.model["transformations"][-1]["options"]
        names: dict[str, str] = options["renameByName"]
        present = {key for row in rows for key in row} - set(options["excludeByName"])
        order: dict[str, int] = options["indexByName"]
        columns = sorted(present, key=lambda key: order.get(key, 99))
        for sort in self.options.get("sortBy", []):
            key = next(key for key in columns if names.get(key, key) == sort["displayName"])
            rows.sort(key=lambda row: row.get(key, ""), reverse=sort["desc"])
        lengths = [
            max(len(names.get(key, key)), *(len(self.cell(names, key, row)) for row in rows)) + 3
            for key in columns
        ]
        x, room = self.x + 8, self.w - 16
        for key, length in zip(columns, lengths, strict=True):
            width = room * length / sum(lengths)
            name = names.get(key, key)
            yield text(x + 6, self.y + 42, shortened(name, width), 11, fill=COLORS["blue"])
            for n, row in enumerate(rows[: int((self.h - 50) / 26)]):
                y = self.y + 50 + n * 26
                value = row.get(key, "")
                words = self.cell(names, key, row)
                color = (
                    self.table_color(name, value)
                    if self.settings(name, "custom.cellOptions")
                    else None
                )
                if color:
                    yield box(x + 1, y, width - 2, 24, color, rx=2)
                linked = bool(self.settings(name, "links"))
                ink = PAPER if color else COLORS["blue"] if linked else INK
                yield text(x + 6, y + 16, shortened(words, width - 6, 11.5), 11.5, fill=ink)
            x += width

    def table_color(self, name: str, value: str | float) -> str | None:
        """Return the background of a cell."""
        if isinstance(value, str):
            for mapping in self.settings(name, "mappings") or []:
                if found := mapping["options"].get(value, {}).get("color"):
                    return COLORS[found]
            return None
        return self.color(name, value)

    def cell(self, names: dict[str, str], key: str, row: dict[str, str | float]) -> str:
        """Return the words of a cell."""
        value = row.get(key, "")
        return value if isinstance(value, str) else self.shown(names.get(key, key), value)


# ------------------------------------------------------------------------------- dashboards


def named(legend: str, labels: dict[str, str]) -> str:
    """Return the name of a series: its legend, with labels in place of `{{label}}`."""
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), legend)


def series_of(target: dict[str, Any], entries: Iterable[dict[str, Any]]) -> Iterator[Series]:
    """Yield the series that one query of a panel returned."""
    for entry in entries:
        for found in entry["result"]["data"]["result"]:
            values = [(float(at), float(value)) for at, value in found["values"]]
            points = tuple((at, value) for at, value in values if math.isfinite(value))
            name = named(target.get("legendFormat", ""), found["metric"])
            if points:
                yield Series(name, target["refId"], found["metric"], points)


def marks(model: dict[str, Any], entries: Sequence[dict[str, Any]]) -> Iterator[tuple[str, float]]:
    """Yield when something happened: each time that a series of an annotation begins."""
    for annotation in model["annotations"]["list"]:
        if not annotation["enable"]:
            continue
        for entry in entries:
            if entry["panel"] != annotation["name"]:
                continue
            for found in entry["result"]["data"]["result"]:
                yield COLORS[annotation["iconColor"]], float(found["values"][0][0])


def drawing(model: dict[str, Any], entries: Sequence[dict[str, Any]], note: str) -> str:
    """Return a dashboard as SVG."""
    times = [
        float(at)
        for entry in entries
        for found in entry["result"]["data"]["result"]
        for at, _ in found["values"]
    ]
    if not times:
        raise SystemExit(f"{model['uid']}: no query returned anything")
    start, end = min(times), max(times)
    step = min((b - a for a, b in itertools.pairwise(times) if b > a), default=1.0)
    seen = sorted(set(marks(model, entries)))
    frame = Frame(start, end, step, tuple(mark for mark in seen if mark[1] > start + step))
    parts: list[str] = []
    for panel in model["panels"]:
        mine = [entry for entry in entries if entry["panel"] == panel["title"]]
        series = [
            found
            for target in panel.get("targets", [])
            for found in series_of(target, [e for e in mine if e["ref"] == target["refId"]])
        ]
        parts += Panel(panel, series, frame).draw()
    width = 24 * COLUMN + 2 * MARGIN - GAP
    height = (
        HEAD + MARGIN + max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in model["panels"]) * LINE
    )
    day = datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%d")
    told = f"Plots of query results of a real Prometheus, {day} UTC; not a screenshot of Grafana."
    head = [
        text(MARGIN, 26, model["title"], 19, font_weight=600),
        text(MARGIN, 46, f"{told} {note}".strip(), 12, fill=FAINT),
    ]
    body = "\n".join([box(0, 0, width, height, BACK), *head, *parts])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="Inter, Helvetica, Arial, sans-serif">\n'
        f"{body}\n</svg>\n"
    )


def main(arguments: list[str]) -> int:
    """Draw all dashboards that the saved queries are of."""
    parser = argparse.ArgumentParser(prog="python -m tools.plots", description=__doc__)
    parser.add_argument("folder", type=Path, help="holds queries.json; the pictures go there")
    parser.add_argument("--dashboards", type=Path, default=DASHBOARDS, help="their JSON files")
    parser.add_argument("--note", default="", help="a sentence to add, such as how time passed")
    options = parser.parse_args(arguments)
    saved = json.loads((options.folder / "queries.json").read_text(encoding="utf-8"))
    for file in sorted(options.dashboards.glob("*.json*")):
        model = json.loads(file.read_text(encoding="utf-8"))
        entries = [entry for entry in saved if entry["dashboard"] == model["uid"]]
        if entries:
            target = options.folder / f"{model['uid']}.svg"
            target.write_text(drawing(model, entries, options.note), encoding="utf-8")
            print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
