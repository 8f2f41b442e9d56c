"""Dashboards load for all answers, and each of their checks can fail."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Bake, Deployable, Tools, link_dependencies
from monitoring.dashboards import expressions, panels
from support import Answers, run

ODD = {
    "project_name": "Blue 'Line' \"2\" \\ & <b>",
    "project_slug": "blue-line",
    "description": 'It\'s 100 % \\ "safe" & <sound> ${{ x }} שלום',
    "github_owner": "Blue-Line-2",
    "service_name": "t-1",
    "rollout": "canary",
    "slo_latency_ms": "1234.5",
    "slo_availability": "99.95",
}
EACH = pytest.mark.parametrize(
    "answers", [{}, {"rollout": "canary", "manifests": "helm"}, ODD],
    ids=["default", "canary", "odd"],
)  # fmt: skip
FOLDER = "monitoring/dashboards"


def models(repository: Path) -> dict[str, dict[str, Any]]:
    return {
        file.stem: json.loads(file.read_text(encoding="utf-8"))
        for file in sorted((repository / FOLDER).glob("*.json"))
    }


@EACH
def test_each_file_is_a_dashboard_of_that_name(bake: Bake, answers: Answers) -> None:
    wanted = {"fleet-overview", "service-overview"}
    if answers.get("rollout") == "canary":
        wanted.add("canary")
    found = models(bake(**answers))
    assert found.keys() == wanted
    assert all(model["uid"] == name for name, model in found.items())


@EACH
def test_links_lead_to_the_owners_repository(bake: Bake, answers: Answers) -> None:
    owner = answers.get("github_owner", "acme")
    slug = answers.get("project_slug", "acme-shop")
    for uid, panel in panels(bake(**answers)):
        for link in panel.get("links", []):
            home = f"https://github.com/{owner}/{slug}/blob/main/runbooks/"
            assert link["url"].startswith(home), f"{uid}, {panel['title']}: {link}"


@pytest.mark.slow
@EACH
def test_checks_and_promtool_accept_them(
    bake: Bake, ready_repo: Path, tools: Tools, tmp_path: Path, answers: Answers
) -> None:
    repository = bake(**answers)
    for folder in ("checks", FOLDER, "monitoring/rules", "deploy"):
        (tmp_path / folder).parent.mkdir(exist_ok=True)
        run("cp", "-R", str(repository / folder), str(tmp_path / folder), cwd=tmp_path)
    name = answers.get("service_name", "orders")
    (tmp_path / "services" / name).mkdir(parents=True)
    shutil.copy(repository / f"services/{name}/package.json", tmp_path / "services" / name)
    link_dependencies(ready_repo / "checks", tmp_path / "checks")
    path = tools.folder()
    run("node", "--test", "checks/dashboards.test.js", cwd=tmp_path, path=path)

    rules = run("node", "checks/lib/dashboards.js", cwd=tmp_path, path=path).stdout
    judged = run("promtool", "check", "rules", cwd=tmp_path, path=path, stdin=rules)
    asked = list(expressions(tmp_path, path, name))
    assert f"SUCCESS: {len(asked)} rules found" in judged.stdout

    # Nothing is left out: whatever has an expression is among them.
    text = json.dumps(list(models(tmp_path).values()))
    written = text.count('"expr": ') + text.count('"type": "query"')
    assert len(asked) == written
    assert any(f'service="{name}"' in entry.expr for entry in asked)
    assert not [entry for entry in asked if "$" in entry.expr]


@pytest.mark.slow
@EACH
def test_kustomize_makes_config_maps_that_grafana_finds(
    bake: Bake, tools: Tools, answers: Answers
) -> None:
    repository = bake(**answers)
    built = run("kustomize", "build", FOLDER, cwd=repository, path=tools.folder()).stdout
    maps = list(yaml.safe_load_all(built))
    assert len(maps) == len(models(repository))
    for entry in maps:
        (file,) = entry["data"]
        metadata = entry["metadata"]
        assert metadata["name"] == f"dashboard-{Path(file).stem}"
        assert metadata["namespace"] == "monitoring"
        assert metadata["labels"]["grafana_dashboard"] == "1"
        folder = answers.get("project_slug", "acme-shop")
        assert metadata["annotations"]["grafana_folder"] == folder
        assert json.loads(entry["data"][file]) == models(repository)[Path(file).stem]


Change = Callable[[dict[str, Any]], object]


def panel(model: dict[str, Any], title: str) -> dict[str, Any]:
    return next(p for p in model["panels"] if p["title"] == title and p["type"] != "row")


def first_target(title: str, **changes: str) -> Change:
    return lambda model: panel(model, title)["targets"][0].update(changes)


def variable(name: str, **changes: object) -> Change:
    return lambda model: next(
        entry for entry in model["templating"]["list"] if entry["name"] == name
    ).update(changes)


SERVICE = "service-overview"
BREAKAGES: dict[str, tuple[str, Change, str]] = {
    "schema v2": (SERVICE, lambda model: model.update(elements={}), r"has elements: .*Classic"),
    "an uid that is taken": (
        SERVICE,
        lambda model: model.update(uid="fleet-overview"),
        r"uid is fleet-overview; it must be the name of the file",
    ),
    "editable": (SERVICE, lambda model: model.update(editable=True), r'"editable": false'),
    "a data source of one Grafana": (
        SERVICE,
        lambda model: panel(model, "CPU").update(datasource={"uid": "P1"}),
        r"CPU: datasource",
    ),
    "no data source variable": (
        SERVICE,
        lambda model: model["templating"].update(list=[]),
        r"add the variable",
    ),
    "no unit": (
        SERVICE,
        lambda model: panel(model, "CPU")["fieldConfig"]["defaults"].pop("unit"),
        r"panel 19 \(CPU\): fieldConfig\.defaults\.unit",
    ),
    "no description": (
        SERVICE,
        lambda model: panel(model, "CPU").pop("description"),
        r"panel 19 \(CPU\): description: what is good",
    ),
    "no legend": (SERVICE, first_target("CPU", legendFormat=""), r"\(CPU\), query A: legendFormat"),
    "rows that do not merge": (
        "fleet-overview",
        first_target("All services", expr="service:http_requests:rate5m"),
        r"All services\) reads service:http_requests:rate5m, which keeps its name",
    ),
    "a panel that asks nothing": (
        SERVICE,
        lambda model: panel(model, "CPU").update(targets=[]),
        r"\(CPU\) asks nothing",
    ),
    "an id that is taken": (
        SERVICE,
        lambda model: panel(model, "CPU").update(id=20),
        r"two panels have the id 20",
    ),
    "panels over each other": (
        SERVICE,
        lambda model: panel(model, "CPU")["gridPos"].update(x=15, w=8),
        r"Memory of its limit and CPU overlap",
    ),
    "a raw metric": (
        SERVICE,
        first_target("Requests", expr='rate(http_requests_total{service="$service"}[5m])'),
        r"panel Requests A reads http_requests_total, which no rule .* records",
    ),
    "a series that is not recorded": (
        SERVICE,
        first_target("Requests", expr='service:http_requests:rate1m{service="$service"}'),
        r"reads service:http_requests:rate1m, which no rule",
    ),
    "a variable that asks for such a series": (
        SERVICE,
        variable("service", query={"query": "label_values(up, service)"}),
        r"variable service reads up, which no rule",
    ),
    "an annotation that does": (
        SERVICE,
        lambda model: model["annotations"]["list"][0]["target"].update(expr="build_info"),
        r"annotation Deployments reads build_info, which no rule",
    ),
    "an objective of its own": (
        SERVICE,
        first_target("Share of failed requests", expr="vector(0.001)"),
        r"Share of failed requests A holds the number 0\.001: read it from a slo: series",
    ),
    "a line where nobody acts": (
        SERVICE,
        lambda model: panel(model, "Event-loop lag (p99)")["fieldConfig"]["defaults"]["thresholds"][
            "steps"
        ][1].update(value=0.5),
        r"a threshold is 0\.5; on these series act EventLoopLagging \(0\.2\)",
    ),
    "all services in one's dashboard": (
        SERVICE,
        first_target("CPU", expr="pod:process_cpu_seconds:rate5m"),
        r'write pod:process_cpu_seconds:rate5m\{service="\$service"\}',
    ),
    "a variable that is not there": (
        "fleet-overview",
        first_target(
            "Requests by service", expr='service:http_requests:rate5m{service="$service"}'
        ),
        r"Requests by service A uses a variable",
    ),
    "a link to no dashboard": (
        SERVICE,
        lambda model: model["links"][1].update(url="/d/orders"),
        r"links to /d/orders; there are",
    ),
    "a link to no runbook": (
        SERVICE,
        lambda model: panel(model, "CPU")["links"][0].update(
            url="https://github.com/acme/acme-shop/blob/main/runbooks/Slow.md"
        ),
        r"runbooks/Slow\.md; no alert has this name",
    ),
}


@pytest.fixture(scope="module")
def checkable(deployable: Deployable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the default repository in which dashboards are broken, and mended again."""
    copy = tmp_path_factory.mktemp("dashboards") / "repository"
    run("cp", "-R", str(deployable()), str(copy), cwd=copy.parent)
    return copy


@pytest.mark.slow
@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_breakage_is_named(checkable: Path, tools: Tools, breakage: str) -> None:
    name, change, message = BREAKAGES[breakage]
    file = checkable / FOLDER / f"{name}.json"
    before = file.read_text(encoding="utf-8")
    model = json.loads(before)
    change(model)
    try:
        file.write_text(json.dumps(model), encoding="utf-8")
        result = run(
            "node", "--test", "checks/dashboards.test.js", cwd=checkable, path=tools.folder(),
            check=False,
        )  # fmt: skip
    finally:
        file.write_text(before, encoding="utf-8")
    assert result.returncode != 0, f"the checks pass with {breakage}"
    assert re.search(message, result.stdout), result.stdout
