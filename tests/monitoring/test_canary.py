"""A canary is judged by its own recorded series, and nothing that it did not do counts against it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Deployable, Tools
from manifests import only
from support import run

pytestmark = pytest.mark.slow

LABELS = 'namespace="apps", service="orders"'
RULES = ("slo", "revisions")


def series(hash_: str, ok: float, errors: float, slow: float) -> list[dict[str, str]]:
    """Return the counters of one version after requests per minute of three kinds."""
    labels = f'{LABELS}, rollouts_pod_template_hash="{hash_}"'

    def growing(name: str, more: str, step: float) -> dict[str, str]:
        return {"series": f"{name}{{{labels}{more}}}", "values": f"0+{step:g}x30"}

    total = ok + errors + slow
    found = [
        growing("http_requests_total", ', status_code="200"', ok + slow),
        growing("http_request_duration_seconds_count", "", total),
        growing("http_request_duration_seconds_bucket", ', le="0.3"', total - slow),
        growing("http_request_duration_seconds_bucket", ', le="+Inf"', total),
    ]
    if errors:
        found.append(growing("http_requests_total", ', status_code="500"', errors))
    return found


# Requests per minute of the canary (good, failed, slow), and what each query must answer: 0 for
# kept, 1 for broken, nothing for too little to judge. At the rate at which a page goes out, the
# objectives allow 1.44 % errors (99.9 %) and 14.4 % slow answers (99 %).
CASES: dict[str, tuple[tuple[float, float, float], list[float], list[float]]] = {
    "all is well": ((600, 0, 0), [0], [0]),
    "a few errors": ((600, 6, 0), [0], [0]),
    "many errors": ((600, 12, 0), [1], [0]),
    "only errors": ((0, 600, 0), [1], [0]),
    "a few slow answers": ((600, 0, 60), [0], [0]),
    "many slow answers": ((600, 0, 120), [0], [1]),
    "too few requests to judge": ((20, 8, 2), [], []),
    "no request": ((0, 0, 0), [], []),
}


@pytest.fixture(scope="module", params=["kustomize", "helm"])
def repository(request: pytest.FixtureRequest, deployable: Deployable) -> Path:
    return deployable(rollout="canary", manifests=request.param)


def queries(repository: Path) -> dict[str, str]:
    """Return the queries of the rendered AnalysisTemplate, for the version `new`."""
    template = only(repository, "production", "AnalysisTemplate")
    return {
        metric["name"]: metric["provider"]["prometheus"]["query"].replace(
            "{{args.revision}}", "new"
        )
        for metric in template["spec"]["metrics"]
    }


def groups(repository: Path) -> list[Any]:
    return [
        group
        for name in RULES
        for group in yaml.safe_load(
            (repository / f"monitoring/rules/{name}.yaml").read_text(encoding="utf-8")
        )["spec"]["groups"]
    ]


def judge(
    repository: Path,
    promtool: Path,
    scratch: Path,
    given: list[dict[str, str]],
    answers: dict[str, list[float]],
    objectives: dict[str, float] | None = None,
) -> str:
    """Let promtool compare the answers of both queries; return what differs."""
    rules = groups(repository)
    for rule in (rule for group in rules for rule in group["rules"]):
        if rule["record"] in (objectives or {}):
            rule["expr"] = f"vector({(objectives or {})[rule['record']]})"
    (scratch / "rules.json").write_text(json.dumps({"groups": rules}), "utf-8")
    asked = queries(repository)
    test = {
        "rule_files": ["rules.json"],
        "evaluation_interval": "30s",
        "tests": [
            {
                "interval": "1m",
                "input_series": given,
                "promql_expr_test": [
                    {
                        "expr": asked[name],
                        "eval_time": "10m",
                        "exp_samples": [
                            {
                                "labels": f'{{{LABELS}, rollouts_pod_template_hash="new"}}',
                                "value": value,
                            }
                            for value in values
                        ],
                    }
                    for name, values in answers.items()
                ],
            }
        ],
    }
    (scratch / "test.json").write_text(json.dumps(test), encoding="utf-8")
    result = run(promtool, "test", "rules", "test.json", cwd=scratch, check=False)
    return "" if result.returncode == 0 else result.stdout + result.stderr


@pytest.mark.parametrize("case", CASES)
def test_each_query_answers_for_the_canary_alone(
    repository: Path, tools: Tools, tmp_path: Path, case: str
) -> None:
    (ok, errors, slow), for_errors, for_latency = CASES[case]
    # The stable version does the opposite, and another service has a version of the same hash.
    bad = not errors and not slow
    given = series("new", ok, errors, slow) + series("old", 600, 300 * bad, 300 * bad)
    answers = {"errors": for_errors, "latency": for_latency}
    said = judge(repository, tools.path("promtool"), tmp_path, given, answers)
    assert said == "", said


@pytest.mark.parametrize(
    ("objectives", "answers"),
    [
        ({"slo:availability:objective": 0.9995}, {"errors": [1], "latency": [0]}),
        ({"slo:latency:objective": 0.995}, {"errors": [0], "latency": [1]}),
    ],
    ids=["availability", "latency"],
)
def test_a_canary_is_judged_by_the_recorded_objectives(
    repository: Path,
    tools: Tools,
    tmp_path: Path,
    objectives: dict[str, float],
    answers: dict[str, list[float]],
) -> None:
    """What keeps the shipped objectives breaks stricter ones, as no query has one of its own."""
    promtool, given = tools.path("promtool"), series("new", 600, 6, 60)
    kept: dict[str, list[float]] = {"errors": [0], "latency": [0]}
    assert (said := judge(repository, promtool, tmp_path, given, kept)) == "", said
    said = judge(repository, promtool, tmp_path, given, answers, objectives)
    assert said == "", said


def test_no_version_label_no_series(repository: Path, tools: Tools, tmp_path: Path) -> None:
    """Before the first canary nothing is recorded, and both queries are silent."""
    given = [
        {**entry, "series": entry["series"].replace(', rollouts_pod_template_hash="new"', "")}
        for entry in series("new", 600, 300, 300)
    ]
    said = judge(repository, tools.path("promtool"), tmp_path, given, {"errors": [], "latency": []})
    assert said == "", said


def test_no_answer_counts_as_kept_and_one_bad_answer_is_not_enough(repository: Path) -> None:
    template = only(repository, "production", "AnalysisTemplate")
    for metric in template["spec"]["metrics"]:
        assert metric["successCondition"] == "len(result) == 0 || result[0] == 0"
        assert metric["failureCondition"] == "len(result) > 0 && result[0] == 1"
        assert metric["failureLimit"] >= 1
        window = int(re.search(r"rate(\d+)m", metric["provider"]["prometheus"]["query"])[1])  # type: ignore[index]
        scrape = 30
        delay = int(metric["initialDelay"].removesuffix("m")) * 60
        assert delay >= window * 60 + 2 * scrape, "the first answer is not about the canary yet"


def test_the_series_carry_the_label_of_the_version(repository: Path) -> None:
    """The label is the pod's, which the ServiceMonitor passes on."""
    monitor = only(repository, "production", "ServiceMonitor")
    (label,) = monitor["spec"]["podTargetLabels"]
    assert label.replace("-", "_") in json.dumps(groups(repository))
