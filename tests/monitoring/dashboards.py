"""What the dashboards of a generated repository ask Prometheus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from support import run

# What is empty while all is well, with what fills it.
FILLED_BY = {
    "Firing alerts": "an alert that fires",
    "Alerts of the platform": "an alert of the chart's own rules that fires",
    "Alerts": "an alert that fires",
    "Deployments": "a version that was not there a minute before",
}


class Expression(NamedTuple):
    """One expression, with values in place of the variables.

    `kind` is panel, variable or annotation; `ref` tells the queries of one panel apart.
    """

    dashboard: str
    kind: str
    title: str
    ref: str
    legend: str
    expr: str

    @property
    def filled_by(self) -> str:
        """What has to happen before it returns anything; empty if it always must."""
        return FILLED_BY.get(self.title, "")


def expressions(repository: Path, path: Path, service: str = "orders") -> Iterator[Expression]:
    """Yield all that the dashboards ask of a service.

    Args:
        repository: a generated repository whose checks have their dependencies.
        path: a folder for PATH that holds the pinned programs.
        service: the value of the variable `service`.
    """
    command = ("node", "checks/lib/dashboards.js", "--json", f"--service={service}")
    for entry in json.loads(run(*command, cwd=repository, path=path).stdout):
        yield Expression(**entry)


def panels(repository: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the uid of its dashboard and the model of each panel that shows something."""
    for file in sorted((repository / "monitoring/dashboards").glob("*.json")):
        model = json.loads(file.read_text(encoding="utf-8"))
        for panel in model["panels"]:
            if panel["type"] != "row":
                yield model["uid"], panel
