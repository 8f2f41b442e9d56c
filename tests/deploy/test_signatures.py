"""Kyverno itself judges images by the generated policy: only the release workflow's pass.

The images lie in a registry on the loopback interface. The policy is the generated one, with roots
of trust of our own in place of Sigstore's, and without its logs, which nobody can forge.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from conftest import Bake, Tools
from deploy.sigstore import Authority, registry
from manifests import Object, objects
from support import require, run, with_facts

pytestmark = pytest.mark.big

GITHUB = "https://token.actions.githubusercontent.com"
# The one identity that may sign, stated here once more and not read from the policy.
RELEASE = "https://github.com/acme/acme-shop/.github/workflows/release.yml@refs/heads/main"


@dataclass(frozen=True)
class Case:
    """Who signed an image, and how; without `subject` nobody did."""

    subject: str = RELEASE
    issuer: str = GITHUB
    authority: str = "trusted"
    moved: bool = False


GOOD = "the release workflow"
CASES = {
    GOOD: Case(),
    "nobody": Case(subject=""),
    "a fork": Case(RELEASE.replace("/acme/", "/mallory/")),
    "another repository": Case(RELEASE.replace("/acme-shop/", "/acme-blog/")),
    "a repository whose name begins with ours": Case(
        RELEASE.replace("/acme-shop/", "/acme-shop2/")
    ),
    "another branch": Case(RELEASE.replace("heads/main", "heads/feature")),
    "a branch whose name begins with main": Case(RELEASE + "2"),
    "a pull request": Case(RELEASE.replace("heads/main", "pull/7/merge")),
    "a tag called main": Case(RELEASE.replace("heads/main", "tags/main")),
    "another workflow": Case(RELEASE.replace("release.yml", "test.yml")),
    "a workflow in other case": Case(RELEASE.replace("release.yml", "Release.yml")),
    "another issuer": Case(issuer="https://accounts.example.com"),
    "another authority": Case(authority="other"),
    "the release workflow, another image": Case(moved=True),
}
# Pods of several containers: their images by the name of a case, and how they are referred to.
PODS: dict[str, Callable[[dict[str, str]], Object]] = {
    "an init container of nobody": lambda images: {
        "initContainers": [{"name": "first", "image": images["nobody"]}],
        "containers": [{"name": "service", "image": images[GOOD]}],
    },
    "an ephemeral container of nobody": lambda images: {
        "containers": [{"name": "service", "image": images[GOOD]}],
        "ephemeralContainers": [{"name": "debugger", "image": images["nobody"]}],
    },
    "a tag": lambda images: {
        "containers": [{"name": "service", "image": images[GOOD].partition("@")[0] + ":latest"}]
    },
}


def slug(name: str) -> str:
    return "".join(char if char.isalnum() else "-" for char in name.lower())


@pytest.fixture(scope="module")
def judged(bake: Bake, tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Kyverno says of the pod of each case: its result and message."""
    require(bool(shutil.which("openssl")), "openssl is not installed", "Install it.")
    home = tmp_path_factory.mktemp("signatures")
    with registry() as images:
        authorities = {name: Authority(home / name) for name in ("trusted", "other")}
        references = {}
        for name, case in CASES.items():
            path = f"acme-shop/{slug(name)}"
            digest = images.image(path)
            references[name] = f"{images.host}/{path}@{digest}"
            if case.subject:
                about = "sha256:" + "1" * 64 if case.moved else digest
                images.sign(
                    path, digest, authorities[case.authority], case.subject, case.issuer, about
                )

        repository = with_facts(bake(), home, {"registry": images.host})
        overlay = repository / "deploy/platform-config/overlays/production"
        built = run(tools.path("kustomize"), "build", overlay, cwd=home).stdout
        (policy,) = (entry for entry in objects(built) if entry["kind"] == "ImageValidatingPolicy")
        policy["spec"]["attestors"][0]["cosign"] |= {
            "tuf": {
                "mirror": f"http://{images.host}/tuf",
                "root": {"data": base64.b64encode(images.trust(authorities["trusted"])).decode()},
            },
            "ctlog": {"insecureIgnoreTlog": True, "insecureIgnoreSCT": True},
        }
        specs = {
            name: {"containers": [{"name": "service", "image": image}]}
            for name, image in references.items()
        }
        specs |= {name: spec(references) for name, spec in PODS.items()}
        pods = [
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": slug(name), "namespace": "apps"},
                "spec": spec,
            }
            for name, spec in specs.items()
        ]
        values = {
            "apiVersion": "cli.kyverno.io/v1alpha1",
            "kind": "Values",
            "metadata": {"name": "values"},
            "namespaceSelector": [
                {"name": "apps", "labels": {"kubernetes.io/metadata.name": "apps"}}
            ],
        }
        for file, entries in (("policy", [policy]), ("pods", pods), ("values", [values])):
            (home / f"{file}.yaml").write_text(yaml.safe_dump_all(entries))
        result = run(
            *(tools.path("kyverno"), "apply", "policy.yaml", "--resource=pods.yaml"),
            *("--values-file=values.yaml", "--registry", "--continue-on-fail"),
            *("--policy-report", "--output-format=json"),
            cwd=home,
            check=False,
            # Where it keeps what it has learned of TUF.
            environment={"HOME": str(home), "TUF_ROOT": str(home / "tuf")},
        )
    report = json.loads(next(line for line in result.stdout.splitlines() if line.startswith("{")))
    return {entry["resources"][0]["name"]: entry for entry in report["results"]}


def test_the_release_workflow_is_accepted(judged: dict[str, Any]) -> None:
    assert judged[slug(GOOD)]["result"] == "pass", judged[slug(GOOD)]


@pytest.mark.parametrize("name", [name for name in CASES if name != GOOD])
def test_others_are_refused(judged: dict[str, Any], name: str) -> None:
    """Nothing but the signature differs from what is accepted."""
    said = judged[slug(name)]
    assert said["result"] == "fail", said
    assert said["message"].startswith("rule verify-image-signatures: ")
    assert "release.yml of acme/acme-shop on main" in said["message"]


@pytest.mark.parametrize("name", PODS)
def test_every_container_is_judged_and_by_digest(judged: dict[str, Any], name: str) -> None:
    assert judged[slug(name)]["result"] == "fail", judged[slug(name)]
