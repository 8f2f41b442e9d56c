"""Runbooks hold queries and commands that work, and no number that is not their rule's."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from conftest import Deployable, Tools, link_dependencies
from support import Answers, run

pytestmark = pytest.mark.slow

EACH = pytest.mark.parametrize(
    "answers", [{}, {"rollout": "canary", "manifests": "helm"}], ids=["default", "canary-helm"]
)


def texts(repository: Path) -> dict[str, str]:
    return {
        file.stem: file.read_text(encoding="utf-8")
        for file in sorted((repository / "runbooks").glob("*.md"))
    }


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


@EACH
def test_promtool_parses_every_query(
    deployable: Deployable, tools: Tools, answers: Answers
) -> None:
    repository = deployable(**answers)
    path = tools.folder()
    rules = run("node", "checks/lib/runbooks.js", cwd=repository, path=path).stdout
    judged = run("promtool", "check", "rules", cwd=repository, path=path, stdin=rules)
    written = sum(len(blocks(text, "promql")) for text in texts(repository).values())
    assert f"SUCCESS: {written} rules found" in judged.stdout


@EACH
def test_commands_are_ones_that_bash_and_kubectl_know(
    deployable: Deployable, tools: Tools, tmp_path: Path, answers: Answers
) -> None:
    """Kubectl is asked for its options, as there is no cluster to run the commands in."""
    kubectl = tools.path("kubectl")
    common = set(re.findall(r"--[\w-]+", run(kubectl, "options", cwd=tmp_path).stdout))
    options: dict[str, set[str]] = {}
    commands = 0
    for name, text in texts(deployable(**answers)).items():
        for block in blocks(text, "sh"):
            run("bash", "-n", cwd=tmp_path, stdin=block)
            for command in re.findall(r"kubectl ([^\n|;&)]*)", block):
                words = command.split()
                plain = words[2:] if words[0] == "--namespace" else words
                verb = " ".join(plain[:2] if plain[0] == "top" else plain[:1])
                if verb not in options:
                    shown = run(kubectl, *verb.split(), "--help", cwd=tmp_path).stdout
                    options[verb] = set(re.findall(r"--[\w-]+", shown)) | common
                used = {word.split("=")[0] for word in words if word.startswith("--")}
                assert used <= options[verb], f"{name}: {command}: {used - options[verb]}"
                commands += 1
    assert commands > 50


@EACH
def test_workloads_are_of_the_chosen_kind(deployable: Deployable, answers: Answers) -> None:
    kind, other = ("rollout", "deployment") if answers else ("deployment", "rollout")
    text = "\n".join(texts(deployable(**answers)).values())
    assert re.search(rf"\b{kind}/SERVICE\b", text)
    assert not re.search(rf"\b{other}[/ ]SERVICE\b", text)


def test_ready_pods_are_counted(deployable: Deployable, tools: Tools, tmp_path: Path) -> None:
    """The query of PodCrashLooping that joins, with series as kube-state-metrics makes them."""
    repository = deployable()
    path = tools.folder()
    rules = run("node", "checks/lib/rules.js", cwd=repository, path=path).stdout
    (tmp_path / "rules.yaml").write_text(rules, encoding="utf-8")
    (query,) = [
        block
        for block in blocks(texts(repository)["PodCrashLooping"], "promql")
        if "ready" in block
    ]
    measured = 'namespace="apps", job="kube-state-metrics", service="kube-state-metrics"'
    series = {
        f'kube_service_labels{{{measured}, label_team="shop"}}': 1,
        **{
            f'kube_pod_labels{{{measured}, pod="{pod}", label_app_kubernetes_io_name="{app}"}}': 1
            for pod, app in (("a", "orders"), ("b", "orders"), ("c", "orders"), ("d", "other"))
        },
        **{
            f'kube_pod_status_ready{{{measured}, pod="{pod}", condition="true"}}': ready
            for pod, ready in (("a", 1), ("b", 1), ("c", 0), ("d", 1))
        },
    }
    test = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "30s",
        "tests": [
            {
                "interval": "30s",
                "input_series": [
                    {"series": name, "values": f"{value}x10"} for name, value in series.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": query.replace("SERVICE", "orders"),
                        "eval_time": "5m",
                        "exp_samples": [{"labels": "{}", "value": 2}],
                    }
                ],
            }
        ],
    }
    (tmp_path / "test.json").write_text(json.dumps(test), encoding="utf-8")
    run("promtool", "test", "rules", "test.json", cwd=tmp_path, path=path)


def test_every_number_of_every_condition_is_compared(
    ready_repo: Path, tools: Tools, tmp_path: Path
) -> None:
    """The first number in words of each page is changed, then the second one, and so on."""
    repository = tmp_path / ready_repo.name
    shutil.copytree(
        ready_repo, repository, symlinks=True, ignore=shutil.ignore_patterns("node_modules")
    )
    for folder in ("services/orders", "checks"):
        link_dependencies(ready_repo / folder, repository / folder)
    places: dict[str, list[re.Match[str]]] = {}
    for name, text in texts(repository).items():
        if name != "README":
            condition = text.split("## First look")[0]
            # Of as many characters, so that places stay what they are.
            words = re.sub(r"```.*?```|`[^`]*`", lambda m: "_" * len(m[0]), condition, flags=re.S)
            places[name] = list(re.finditer(r"(?<![\w.])\d+(\.\d+)?", words))
    for index in range(max(map(len, places.values()))):
        changed = {}
        for name, numbers in places.items():
            file = repository / f"runbooks/{name}.md"
            text = texts(ready_repo)[name]
            if index < len(numbers):
                number = numbers[index]
                changed[name] = f"{float(number[0]) + 1:g}"
                text = text[: number.start()] + changed[name] + text[number.end() :]
            file.write_text(text, encoding="utf-8")
        result = run(
            "node",
            "--test",
            "--test-reporter=tap",
            "checks/runbooks.test.js",
            cwd=repository,
            path=tools.folder(),
            check=False,
        )
        red = set(re.findall(r"^not ok \d+ - runbooks/(\w+)\.md", result.stdout, re.M))
        assert red == changed.keys(), f"{changed}: not noticed, or without a cause"
