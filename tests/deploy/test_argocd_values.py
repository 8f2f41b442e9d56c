"""What our values give Argo CD to run: health checks in Lua, and templates of messages."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Bake, Deployable, Tools
from lupa.lua51 import LuaRuntime
from manifests import only
from support import choices, run, schema_environment

from tools import fetch

Values = dict[str, Any]


def values(repository: Path) -> Values:
    """Return our values for Argo CD's chart."""
    text = (repository / "deploy/platform/argo-cd/values.yaml").read_text(encoding="utf-8")
    found: Values = yaml.safe_load(text)["argo-cd"]
    return found


def health(repository: Path, kind: str, status: Any) -> tuple[str, str]:  # noqa: ANN401 - any JSON
    """Return status and message that our health check gives an object.

    Lua 5.1 is the version that Argo CD's own interpreter speaks.
    """
    script = values(repository)["configs"]["cm"][
        f"resource.customizations.health.argoproj.io_{kind}"
    ]
    lua = LuaRuntime()
    entry = {"kind": kind, "metadata": {"name": "try"}}
    if status is not None:
        entry["status"] = status
    lua.globals().obj = lua.table_from(entry, recursive=True)
    result = dict(lua.execute(script))
    assert result.keys() == {"status", "message"}
    return result["status"], result["message"]


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        ({"health": {"status": "Healthy"}}, ("Healthy", "")),
        ({"health": {"status": "Progressing"}}, ("Progressing", "")),
        ({"health": {"status": "Degraded", "message": "no disk"}}, ("Degraded", "no disk")),
        ({"health": {}}, ("Progressing", "")),
        ({}, ("Progressing", "")),
        (None, ("Progressing", "")),
    ],
)
def test_an_application_is_as_healthy_as_it_says(
    default_repo: Path, status: object, wanted: tuple[str, str]
) -> None:
    assert health(default_repo, "Application", status) == wanted


def condition(kind: str, status: str = "True", message: str = "") -> dict[str, str]:
    """Return a condition of an ApplicationSet."""
    return {"type": kind, "status": status, "message": message}


MADE = [condition("ErrorOccurred", "False", "all well"), condition("ResourcesUpToDate")]
NOT_MADE = ("Progressing", "Its Applications are not all made yet")


def child(name: str, status: str | None) -> dict[str, Any]:
    """Return an Application as an ApplicationSet lists it."""
    return {"name": name} if status is None else {"name": name, "health": {"status": status}}


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (None, NOT_MADE),
        ({}, NOT_MADE),
        ({"conditions": []}, NOT_MADE),
        ({"conditions": [condition("ResourcesUpToDate", "False")]}, NOT_MADE),
        (
            {"conditions": [condition("ParametersGenerated")], "resources": [child("a", "Healthy")]},
            NOT_MADE,
        ),
        (
            {"conditions": [condition("ErrorOccurred", message="no git")]},
            ("Degraded", "no git"),
        ),
        (
            {"conditions": [*reversed(MADE), condition("ErrorOccurred", message="no git")]},
            ("Degraded", "no git"),
        ),
        ({"conditions": MADE}, ("Healthy", "")),
        ({"conditions": MADE, "resources": []}, ("Healthy", "")),
        (
            {"conditions": MADE, "resources": [child("a", "Healthy"), child("b", "Healthy")]},
            ("Healthy", ""),
        ),
        (
            {"conditions": MADE, "resources": [child("a", "Healthy"), child("b", "Degraded")]},
            ("Progressing", "b is Degraded"),
        ),
        (
            {"conditions": MADE, "resources": [child("a", None)]},
            ("Progressing", "a is not known yet"),
        ),
    ],
)  # fmt: skip
def test_an_applicationset_is_healthy_when_all_its_applications_are(
    default_repo: Path, status: object, wanted: tuple[str, str]
) -> None:
    assert health(default_repo, "ApplicationSet", status) == wanted


# What somebody's broken manifest may make a message of.
HOSTILE = "field \"spec\" & <b>\n\tline 2: 'x' \\ {{ .secret }} `y` </b>"
APPLICATION: Values = {
    "metadata": {"name": "orders", "labels": {"environment": "staging"}},
    "spec": {"destination": {"namespace": "apps"}},
    "status": {
        "operationState": {"message": HOSTILE},
        "sync": {"revision": "0123456789abcdef0123456789abcdef01234567"},
    },
}
UNLABELLED = {**APPLICATION, "metadata": {"name": "orders"}}
SLACK = [answer for answer in choices()["notifications"] if "slack" in answer]
EMAIL = [answer for answer in choices()["notifications"] if "email" in answer]


def templates(repository: Path) -> dict[str, Values]:
    """Return the templates of messages by name."""
    held = values(repository)["notifications"]["templates"]
    return {name: yaml.safe_load(text) for name, text in held.items()}


def filled_in(tools: Tools, scratch: Path, text: str, application: Values) -> str:
    """Return a template after it was filled in for an Application.

    By helm, which has the same engine (Go's text/template) and functions (Sprig) as Argo CD.
    """
    chart = scratch / "chart"
    (chart / "templates").mkdir(parents=True, exist_ok=True)
    meta = "apiVersion: v2\nname: message\nversion: 0.0.0\n"
    (chart / "Chart.yaml").write_text(meta, encoding="utf-8")
    given = {"app": application, "context": {"argocdUrl": "https://argocd.example"}}
    (chart / "values.yaml").write_text(json.dumps(given), encoding="utf-8")
    template = f'{{{{ define "it" }}}}{text}{{{{ end }}}}message: {{{{ include "it" .Values | toJson }}}}\n'
    (chart / "templates/message.yaml").write_text(template, encoding="utf-8")
    output = run(tools.path("helm"), "template", "message", chart, cwd=scratch).stdout
    return str(yaml.safe_load(output)["message"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "name"), list(itertools.product(SLACK, ("sync-failed", "health-degraded")))
)
def test_a_message_for_slack_is_json_that_slack_reads_as_meant(
    bake: Bake, tools: Tools, tmp_path: Path, answer: str, name: str
) -> None:
    template = templates(bake(notifications=answer))[f"template.{name}"]
    body = template["webhook"]["slack"]["body"]
    message = json.loads(filled_in(tools, tmp_path, body, APPLICATION))
    assert message.keys() == {"text"}
    text = message["text"]
    assert text.startswith("*orders* in staging ") and "\n" in text
    assert re.search(r"<https://argocd\.example/applications/argocd/orders[^|>\s]*\|Look>", text)
    assert APPLICATION["status"]["sync"]["revision"] in text
    if name == "sync-failed":
        escaped = HOSTILE.replace("&", "&amp;").replace("<", "&lt;")
        assert f"\n{escaped}\n" in text, text
    # No other markup than the link.
    assert text.count("<") == 1
    other = json.loads(filled_in(tools, tmp_path, body, UNLABELLED))["text"]
    assert other.startswith("*orders* in ? ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "name"), list(itertools.product(EMAIL, ("sync-failed", "health-degraded")))
)
def test_a_message_by_email_says_what_and_what_to_do(
    bake: Bake, tools: Tools, tmp_path: Path, answer: str, name: str
) -> None:
    template = templates(bake(notifications=answer))[f"template.{name}"]
    subject = filled_in(tools, tmp_path, template["email"]["subject"], APPLICATION)
    assert subject.startswith("orders in staging ") and "\n" not in subject
    text = filled_in(tools, tmp_path, template["message"], APPLICATION)
    assert text.startswith(subject[:17]) and "<no value>" not in text
    assert "https://argocd.example/applications/argocd/orders" in text
    assert APPLICATION["status"]["sync"]["revision"] in text
    if name == "sync-failed":
        assert HOSTILE in text


@pytest.mark.parametrize("answer", choices()["notifications"])
def test_what_is_subscribed_to_exists(bake: Bake, answer: str) -> None:
    held = values(bake(notifications=answer))["notifications"]
    triggers = {
        name.removeprefix("trigger."): yaml.safe_load(text)
        for name, text in held["triggers"].items()
    }
    services = {name.rpartition(".")[2] for name in held["notifiers"]}
    assert services == set(answer.split("-and-"))
    for subscription in held["subscriptions"]:
        assert {recipient.split(":")[0] for recipient in subscription["recipients"]} == services
        assert set(subscription["triggers"]) == triggers.keys()
    sent = {name for rules in triggers.values() for rule in rules for name in rule["send"]}
    assert {f"template.{name}" for name in sent} == held["templates"].keys()
    for template in templates(bake(notifications=answer)).values():
        # A template that lacks a service sends nothing by it, and says nothing.
        assert {"slack"} & services == set(template.get("webhook", {}))
        assert ("email" in services) == ("email" in template) == ("message" in template)


def sso(repository: Path) -> dict[str, str]:
    """Return what docs/argocd.md writes of single sign-on, by the kind of its blocks."""
    text = (repository / "docs/argocd.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```yaml\n(.+?)```", text.split("## Single sign-on")[1], re.S | re.M)
    secret, given = (textwrap.dedent(block) for block in blocks)
    return {"secret": secret, "values": given}


@pytest.mark.slow
def test_the_secret_of_single_sign_on_comes_as_documented(
    deployable: Deployable, tmp_path: Path
) -> None:
    repository = tmp_path / "acme-shop"
    shutil.copytree(deployable(), repository, symlinks=True)
    written = sso(repository)
    base = repository / "deploy/platform-config/base"
    (base / "argocd-sso.yaml").write_text(written["secret"], encoding="utf-8")
    with (base / "kustomization.yaml").open("a", encoding="utf-8") as file:
        file.write("  - argocd-sso.yaml\n")
    run(
        "make", "lint-deploy",
        cwd=repository, path=fetch.commands(), environment=schema_environment(),
    )  # fmt: skip
    found = only(repository, "staging", "ExternalSecret", "argocd-sso")
    (entry,) = found["spec"]["data"]
    assert entry["remoteRef"]["key"] == "acme-shop/staging/argocd-sso"
    labels = found["spec"]["target"]["template"]["metadata"]["labels"]
    assert labels == {"app.kubernetes.io/part-of": "argocd"}, "Argo CD does not read it"
    oidc = yaml.safe_load(
        yaml.safe_load(written["values"])["argo-cd"]["configs"]["cm"]["oidc.config"]
    )
    name = found["metadata"]["name"]
    assert oidc["clientSecret"] == f"${name}:{entry['secretKey']}"
    text = (repository / "docs/argocd.md").read_text(encoding="utf-8")
    assert f'"{entry["remoteRef"]["property"]}": "..."' in text
    assert "--name acme-shop/ENV/argocd-sso" in text


def test_the_values_of_single_sign_on_are_read_in_their_environment(
    deployable: Deployable,
) -> None:
    repository = deployable()
    text = (repository / "docs/argocd.md").read_text(encoding="utf-8")
    given = yaml.safe_load(sso(repository)["values"])["argo-cd"]
    ours = values(repository)
    # What they change is there, under these very names.
    assert ours["global"].keys() >= given["global"].keys()
    assert ours["configs"].keys() >= given["configs"].keys()
    assert given["configs"]["rbac"].keys() == ours["configs"]["rbac"].keys()
    applications = only(repository, "dev", "ApplicationSet", "platform")
    files = applications["spec"]["template"]["spec"]["source"]["helm"]["valueFiles"]
    assert files[-1] == "overlays/dev/values.yaml"
    assert f"deploy/platform/argo-cd/{files[-1].replace('dev', 'ENV')}" in text


@pytest.mark.big
@pytest.mark.parametrize(
    ("group", "action", "may"),
    [
        ("platform", "sync", True),
        ("developers", "get", True),
        ("developers", "sync", False),
        ("others", "get", False),
    ],
)
def test_a_group_may_do_what_the_values_of_single_sign_on_say(
    default_repo: Path, tmp_path: Path, group: str, action: str, may: bool
) -> None:
    given = yaml.safe_load(sso(default_repo)["values"])["argo-cd"]["configs"]["rbac"]
    policy = tmp_path / "policy.csv"
    policy.write_text(given["policy.csv"], encoding="utf-8")
    # It wants to know a cluster, and does not ask it.
    kubeconfig = tmp_path / "kubeconfig"
    cluster = {"name": "none", "cluster": {"server": "https://127.0.0.1:1"}}
    user = {"name": "none", "user": {"token": "none"}}
    context = {"name": "none", "context": {"cluster": "none", "user": "none"}}
    held: Values = {"clusters": [cluster], "users": [user], "contexts": [context]}
    held["current-context"] = "none"
    kubeconfig.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **held}), "utf-8")
    result = run(
        fetch.program("argocd"), "admin", "settings", "rbac", "can", group, action, "applications",
        "apps/orders", "--policy-file", policy,
        cwd=tmp_path, check=False, environment={"ARGOCD_BINARY_NAME": "argocd", "KUBECONFIG": str(kubeconfig)},
    )  # fmt: skip
    assert result.stdout.strip() == ("Yes" if may else "No"), result.stdout + result.stderr
