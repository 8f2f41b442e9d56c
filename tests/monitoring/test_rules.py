"""The rules hold for other answers, page in time, and their tests notice a change of any alert."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Bake, Deployable, Tools
from support import TEMPLATE, name_of, run

RULES = "monitoring/rules"


PREPARED = """
import { prepared, rulesForTests, testFiles } from './checks/lib/rule-tests.js';
const groups = rulesForTests();
const all = Object.values(testFiles()).flatMap(({ tests, ...file }) =>
  tests.map((test) => prepared({ ...file, tests: [test] }, groups, 'rules.json')),
);
console.log(JSON.stringify(all));
"""


def prepared_tests(repository: Path, tools: Tools) -> list[dict[str, Any]]:
    """Return each of the generated tests of rules by itself, with the rules that it needs."""
    node = ("node", "--input-type=module", "--eval", PREPARED)
    said = run(*node, cwd=repository, path=tools.folder()).stdout
    loaded: list[dict[str, Any]] = json.loads(said)
    return loaded


# ------------------------------------------------------------------------------- other answers


@pytest.mark.slow
@pytest.mark.parametrize(
    "answers",
    [
        {"slo_availability": "99.5", "slo_latency_ms": "999.5"},
        {"slo_availability": "99.99", "slo_latency_ms": "250"},
        {"slo_latency_ms": "1234.5", "rollout": "canary", "manifests": "helm"},
    ],
    ids=name_of,
)
def test_rules_hold_for_other_answers(
    deployable: Deployable, tools: Tools, tmp_path: Path, answers: dict[str, str]
) -> None:
    """Their tests see the same rules as with the default answers, so these need not run again."""
    repository = deployable(**answers)
    for program in ("rules", "runbooks"):
        rules = tmp_path / f"{program}.yaml"
        said = run("node", f"checks/lib/{program}.js", cwd=repository, path=tools.folder()).stdout
        rules.write_text(said, encoding="utf-8")
        lint = ("--lint=all", "--lint-fatal") if program == "rules" else ()
        run(tools.path("promtool"), "check", "rules", *lint, rules, cwd=tmp_path)
    assert prepared_tests(repository, tools) == prepared_tests(deployable(), tools)


@pytest.mark.parametrize("milliseconds", ["0.1", "5", "300", "999.5", "1234.5", "9999.999"])
def test_the_bucket_is_written_as_prometheus_stores_it(bake: Bake, milliseconds: str) -> None:
    """Prometheus 3 stores le="1.0" where a client writes le="1"."""
    folder = bake(slo_latency_ms=milliseconds, rollout="canary") / RULES
    found = {
        le
        for file in folder.glob("*.yaml")
        for le in re.findall(r'le="([^"]+)"', file.read_text(encoding="utf-8"))
    }
    assert found == {stored(float(milliseconds) / 1000)}


def stored(boundary: float) -> str:
    """Return a boundary as Prometheus writes it: shortest digits, a dot in whole numbers."""
    text = repr(round(boundary, 6))
    return text if "." in text or "e" in text else f"{text}.0"


# -------------------------------------------------------------------------------- time to page

HEALTHY = 2 * 3600
STEP = 5  # of the simulation, in seconds
PERIOD = 30  # between two scrapes, and between two evaluations
RATE = 10  # requests per second


def counter(
    service: str, name: str, labels: str, per_second: tuple[float, float]
) -> dict[str, str]:
    """Return a counter whose growth changes; the service's name says when it does and is scraped."""
    scrape, start = (int(part) for part in service.split("-")[1:])
    end = HEALTHY + 1800
    values = [
        f"{per_second[0] * min(at, HEALTHY + start) + per_second[1] * max(0, at - HEALTHY - start):.6f}"
        if at % PERIOD == scrape
        else "_"
        for at in range(0, end, STEP)
    ]
    return {
        "series": f'{name}{{namespace="apps", service="{service}", team="shop"{labels}}}',
        "values": " ".join(values),
    }


def outage(kind: str, share: float) -> list[dict[str, str]]:
    """Return the series of services that begin to fail at each moment between two scrapes.

    Scrapes come with an evaluation, or just after one and have to wait for the next.
    """
    found = []
    for scrape in (0, STEP):
        for start in range(0, PERIOD, STEP):
            name = f"at-{scrape}-{start}"
            bad, good = (0, RATE * share), (RATE, RATE * (1 - share))
            if kind == "HighErrorRate":
                requests = "http_requests_total"
                found.append(counter(name, requests, ', status_code="200"', good))
                found.append(counter(name, requests, ', status_code="500"', bad))
            else:
                duration = "http_request_duration_seconds"
                found.append(counter(name, "http_requests_total", "", (RATE, RATE)))
                found.append(counter(name, f"{duration}_count", "", (RATE, RATE)))
                found.append(counter(name, f"{duration}_bucket", ', le="0.3"', good))
    return found


# The share of requests that is bad, and within how many seconds a page must fire: the window of an
# hour has to fill to 1.44 % (of errors) or 14.4 % (of slow requests), 30 s may pass before the next
# scrape, 30 s before the next evaluation, and `for` is 2 minutes.
PAGES = {
    ("HighErrorRate", 1.0): 120 + 120,
    ("HighErrorRate", 0.05): 0.0144 / 0.05 * 3600 + 60 + 120,
    ("HighLatency", 1.0): 0.144 * 3600 + 60 + 120,
}


@pytest.mark.slow
@pytest.mark.parametrize(("alert", "share"), PAGES)
def test_a_page_fires_in_time_whenever_requests_begin_to_fail(
    default_repo: Path,
    tools: Tools,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    alert: str,
    share: float,
) -> None:
    alerts = {"HighErrorRate": "alerts-availability", "HighLatency": "alerts-latency"}[alert]
    groups = [
        group
        for name in ("slo", "requests", "burn-rates", alerts)
        for group in rule_file(default_repo / RULES / f"{name}.yaml")["spec"]["groups"]
        if group["name"] not in ("requests-in-detail", "error-budgets")
    ]
    (tmp_path / "rules.json").write_text(json.dumps({"groups": groups}), encoding="utf-8")
    firing = f'ALERTS{{alertname="{alert}", alertstate="firing"}}'
    test = {
        "rule_files": ["rules.json"],
        "evaluation_interval": f"{PERIOD}s",
        "group_eval_order": [group["name"] for group in groups],
        "tests": [
            {
                "interval": f"{STEP}s",
                "input_series": outage(alert, share),
                # promtool says what it got in place of nothing.
                "promql_expr_test": [
                    {
                        "expr": f"min by (service) (min_over_time(timestamp({firing})[30m:30s]))",
                        "eval_time": f"{HEALTHY + 1790}s",
                        "exp_samples": [],
                    }
                ],
            }
        ],
    }
    (tmp_path / "test.json").write_text(json.dumps(test), encoding="utf-8")
    said = run(tools.path("promtool"), "test", "rules", "test.json", cwd=tmp_path, check=False)
    found = re.findall(r'service="at-\d+-(\d+)"} ([\d.E+-]+)', said.stdout + said.stderr)
    delays = [float(time) - HEALTHY - int(start) for start, time in found]
    assert len(delays) == 2 * PERIOD // STEP, said.stdout + said.stderr
    with capsys.disabled():
        print(
            f"\n{alert}, {share:.0%} of requests: a page fires after {min(delays):.0f} to "
            f"{max(delays):.0f} s (allowed {PAGES[alert, share]:.0f})"
        )
    assert min(delays) > 120, "sooner than `for`"
    assert max(delays) <= PAGES[alert, share]


# ----------------------------------------------------------------------------------- mutations


def rule_file(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


def alerts_of_the_template() -> Iterator[Any]:
    """Yield the name of each alert, and its window if it has several."""
    for file in sorted((TEMPLATE / RULES).glob("alerts-*.yaml")):
        (group,) = rule_file(file)["spec"]["groups"]
        for rule in group["rules"]:
            window = rule["labels"].get("window")
            label = f"{rule['alert']}-{window}" if window else rule["alert"]
            yield pytest.param(rule["alert"], window, id=label)


NUMBER = re.compile(r"(?<![\w.:\[-])\d+(?:\.\d+)?(?![\w.\]])(?! - scalar)")
GUARD = re.compile(
    r"scalar\(slo:(?:alerts:\w+|latency:threshold_seconds)\)|(?<=> )\(1 - scalar\(\S+\)\)"
)
SECONDS = {"s": 1, "m": 60, "h": 3600}


def numbers(expr: str) -> Iterator[str]:
    """Yield an expression with each of its numbers a little higher, and a little lower."""
    for match in NUMBER.finditer(expr):
        value = float(match[0])
        others = (value * 1.2, value * 0.8) if value % 1 else (value + 1, value - 1)
        for other in others:
            yield f"{expr[: match.start()]}{other:g}{expr[match.end() :]}"


def changes(rule: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield copies of an alert, each with one change that its tests have to notice."""
    expr = rule["expr"]
    # Its time.
    amount = re.fullmatch(r"(\d+)([smh])", rule.get("for", "0s"))
    assert amount, rule["for"]
    seconds = int(amount[1]) * SECONDS[amount[2]]
    for other in {seconds * 2 or 60, seconds // 2} - {seconds}:
        yield {**rule, "for": f"{other}s"}
    # Its conditions.
    parts = re.split(r" (and|or|unless(?: on \([^)]*\))?) (?=\S+[:{(]|\()", expr)
    for index in range(2, len(parts), 2):
        yield {**rule, "expr": " ".join(parts[: index - 1] + parts[index + 1 :])}
    if len(parts) > 1 and parts[1] in ("and", "or"):
        yield {**rule, "expr": " ".join(parts[2:])}
    # Its thresholds.
    if rule["alert"] != "Watchdog":
        for other_expr in numbers(expr):
            yield {**rule, "expr": other_expr}
    # Its guards: what may not be judged with too few requests, or when it is fast enough.
    for match in GUARD.finditer(expr):
        if f">= {match[0]}" in expr or f"> {match[0]}" in expr:
            yield {**rule, "expr": f"{expr[: match.start()]}-1{expr[match.end() :]}"}
    # What it says and to whom.
    yield {**rule, "labels": {**rule["labels"], "severity": "other"}}
    yield {**rule, "annotations": {**rule["annotations"], "description": "other"}}


@pytest.fixture(scope="module")
def rule_tests(deployable: Deployable, tools: Tools) -> list[dict[str, Any]]:
    """Each of the generated tests of rules by itself, with the rules that it needs."""
    return prepared_tests(deployable(), tools)


def whole(name: str) -> re.Pattern[str]:
    """Return a pattern for the name of a rule that does not find a longer one."""
    return re.compile(rf"(?<![\w:]){name}(?![\w:])")


def rules_of(prepared: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for group in prepared["rules"]["groups"]:
        yield from group["rules"]


def with_mutants(
    prepared: dict[str, Any], name: str, rule: dict[str, Any], mutants: dict[int, dict[str, Any]]
) -> dict[str, Any] | None:
    """Return a test in which each mutant stands beside the rule and has to do the same.

    So all are judged in one run. Rule and mutants are told apart by their names. There is none if
    the test does not ask for the rule.
    """
    found: dict[str, Any] = json.loads(json.dumps(prepared))
    (test,) = found["tests"]["tests"]
    alerts = [each for each in test.get("alert_rule_test", []) if each["alertname"] == name]
    queries = [
        each for each in test.get("promql_expr_test", []) if whole(name).search(each["expr"])
    ]
    if not (alerts or queries) or rule not in rules_of(prepared):
        return None
    kind = "alert" if "alert" in rule else "record"
    for group in found["rules"]["groups"]:
        # An alert of two windows is two rules of one name.
        same = [each for each in group["rules"] if each.get(kind) == name]
        group["rules"] += [
            {**(mutant if each == rule else each), kind: f"{name}_{number}"}
            for number, mutant in mutants.items()
            for each in same
        ]
    names = [name, *(f"{name}_{number}" for number in mutants)]
    test["alert_rule_test"] = [{**each, "alertname": other} for each in alerts for other in names]
    test["promql_expr_test"] = [
        json.loads(whole(name).sub(other, json.dumps(each))) for each in queries for other in names
    ]
    return found


def failures(folder: Path, tools: Tools, tests: list[dict[str, Any]]) -> list[str]:
    """Return which alerts and expressions promtool finds to be others than a test says."""
    folder.mkdir()
    files = []
    for number, each in enumerate(tests):
        rules = folder / f"rules-{number}.json"
        rules.write_text(json.dumps(each["rules"]), encoding="utf-8")
        file = folder / f"test-{number}.json"
        file.write_text(json.dumps({**each["tests"], "rule_files": [rules.name]}), encoding="utf-8")
        files.append(file.name)
    said = run(tools.path("promtool"), "test", "rules", *files, cwd=folder, check=False)
    text = said.stdout + said.stderr
    assert text.count("SUCCESS") + text.count("FAILED:") == len(files), text[-2000:]
    return re.findall(r"^ +(?:alertname|expr|rule): (.+), time: ", text, re.M)


def survivors(
    tmp_path: Path,
    tools: Tools,
    rule_tests: list[dict[str, Any]],
    rule: dict[str, Any],
    changed: Iterator[dict[str, Any]],
) -> list[str]:
    """Return the changes of a rule that no test of it notices."""
    name = rule.get("alert") or rule["record"]
    alive = dict(enumerate(changed))
    assert alive, f"nothing of {name} was changed"
    while alive:
        made = [with_mutants(each, name, rule, alive) for each in rule_tests]
        tests = [each for each in made if each]
        assert tests, f"no test names {name}"
        failed = failures(tmp_path / str(len(alive)), tools, tests)
        found = {each: re.search(rf"{name}_(\d+)", each) for each in failed}
        assert all(found.values()), f"{name} fails as it is: {failed}"
        # What one cannot evaluate ends a test before it has asked for the others, so these come again.
        noticed = {int(match[1]) for match in found.values() if match}
        if not noticed:
            break
        alive = {number: mutant for number, mutant in alive.items() if number not in noticed}
    return [json.dumps(mutant) for mutant in alive.values()]


def rule_of(rule_tests: list[dict[str, Any]], name: str, window: str | None) -> dict[str, Any]:
    """Return a rule by its name and the window that tells it from others of that name."""
    for prepared in rule_tests:
        for rule in rules_of(prepared):
            named = name in (rule.get("alert"), rule.get("record"))
            if named and rule.get("labels", {}).get("window") == window:
                return rule
    raise AssertionError(f"no test needs {name}")


@pytest.mark.slow
@pytest.mark.parametrize(("alert", "window"), list(alerts_of_the_template()))
def test_no_change_of_an_alert_goes_unnoticed(
    rule_tests: list[dict[str, Any]], tools: Tools, tmp_path: Path, alert: str, window: str | None
) -> None:
    rule = rule_of(rule_tests, alert, window)
    found = survivors(tmp_path, tools, rule_tests, rule, changes(rule))
    assert found == [], "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "record",
    [
        "service:http_requests:median6h",
        "service:http_requests:band_margin",
        "service:http_request_duration_seconds:band_margin",
        "service:http_errors:band_margin",
        "service:http_errors:ratio_rate5m",
        "service:http_slow:ratio_rate5m",
        "service:availability:budget_remaining30d",
        "service:latency:budget_remaining30d",
    ],
)
def test_no_change_of_a_number_in_a_recorded_series_goes_unnoticed(
    rule_tests: list[dict[str, Any]], tools: Tools, tmp_path: Path, record: str
) -> None:
    rule = rule_of(rule_tests, record, None)
    changed = ({**rule, "expr": expr} for expr in numbers(rule["expr"]))
    found = survivors(tmp_path, tools, rule_tests, rule, changed)
    assert found == [], "\n".join(found)
