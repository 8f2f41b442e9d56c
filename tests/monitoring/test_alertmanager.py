"""Alertmanager's configuration is valid and tells whom the answers name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from conftest import Bake, Tools
from support import choices, run

CONFIG = "monitoring/alertmanager/alertmanager.yaml"


@pytest.mark.slow
@pytest.mark.parametrize("notifications", choices()["notifications"])
def test_amtool_accepts_the_configuration(bake: Bake, tools: Tools, notifications: str) -> None:
    repository = bake(notifications=notifications)
    result = run(tools.path("amtool"), "check-config", CONFIG, cwd=repository)
    assert "- 1 receivers" in result.stdout


@pytest.mark.parametrize("notifications", choices()["notifications"])
def test_alerts_go_where_the_answers_say(bake: Bake, notifications: str) -> None:
    repository = bake(
        notifications=notifications, slack_channel="eks", alert_email="o'neil+1@example.com"
    )
    config = yaml.safe_load((repository / CONFIG).read_text(encoding="utf-8"))
    (receiver,) = config["receivers"]
    channels = [entry["channel"] for entry in receiver.get("slack_configs", [])]
    addresses = [entry["to"] for entry in receiver.get("email_configs", [])]
    assert channels == (["#eks"] if "slack" in notifications else [])
    assert addresses == (["o'neil+1@example.com"] if "email" in notifications else [])


ALERT = {
    "labels": {"alertname": "HighErrorRate", "service": "orders", "namespace": "shop"},
    "annotations": {
        "summary": "orders fails",
        "description": "3 % of requests fail",
        "runbook_url": "https://example.com/runbook",
        "dashboard_url": "https://example.com/dashboard",
    },
    "status": "firing",
    "startsAt": "2026-01-02T03:04:05Z",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("template", "parts"),
    [
        ("slack.title", ["[FIRING]", "HighErrorRate", "orders in shop"]),
        ("slack.text", ["*orders fails*", "03:04:05", "3 %", "/runbook|", "/dashboard|"]),
        ("email.subject", ["[FIRING]", "HighErrorRate", "orders in shop"]),
        ("email.text", ["orders fails", "2026-01-02 03:04:05", "3 %", "/runbook", "/dashboard"]),
    ],
)
def test_messages_say_what_where_since_when_and_what_to_do(
    bake: Bake, tools: Tools, tmp_path: Path, template: str, parts: list[str]
) -> None:
    data = tmp_path / "data.json"
    common = {"status": "firing", "commonLabels": ALERT["labels"], "alerts": [ALERT]}
    data.write_text(json.dumps(common), encoding="utf-8")
    result = run(
        tools.path("amtool"),
        "template",
        "render",
        "--template.glob=monitoring/alertmanager/templates/*.tmpl",
        f'--template.text={{{{ template "{template}" . }}}}',
        f"--template.data={data}",
        cwd=bake(notifications="slack-and-email"),
    )
    missing = [part for part in parts if part not in result.stdout]
    assert missing == [], f"{template} does not tell {missing}: {result.stdout}"


def test_no_secret_stands_in_the_configuration(bake: Bake) -> None:
    text = (bake(notifications="slack-and-email") / CONFIG).read_text(encoding="utf-8")
    config = yaml.safe_load(text)
    for key in ("slack_api_url", "smtp_auth_password"):
        assert key not in config["global"], f"{key} belongs in a mounted file: {key}_file"
        path = config["global"][f"{key}_file"]
        assert Path(path).is_absolute()
