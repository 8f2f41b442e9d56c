"""`make doctor` says of each thing that does not fit what mends it, changes nothing, and waits for nobody."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import Tools, commit, link_dependencies
from support import free_port, run

from tools import fetch

pytestmark = pytest.mark.slow

TODAY = datetime.datetime.now(datetime.UTC).date()
NOWHERE = "http://127.0.0.1:9"
HIDDEN = "hunter2-in-no-output"


def day(days: int) -> str:
    """Return the day that is so many days away."""
    return str(TODAY + datetime.timedelta(days=days))


class Finding(NamedTuple):
    """A line of the doctor's with the remedy below it."""

    level: str
    text: str
    fix: str


class Report(NamedTuple):
    """What a run of the doctor said."""

    code: int
    output: str
    sections: dict[str, list[Finding]]

    def find(self, section: str, text: str) -> Finding:
        """Return the one line of a section that a pattern is in."""
        found = [entry for entry in self.sections[section] if re.search(text, entry.text)]
        assert len(found) == 1, f"{section}: {text}: {len(found)} lines in\n{self.output}"
        return found[0]


class Doctor:
    """A repository with its doctor, on a machine that has what the test gives it."""

    def __init__(self, repository: Path, home: Path, tools: Path) -> None:
        self.repository = repository
        self.programs = home / "programs"
        self.programs.mkdir(parents=True)
        self.path = f"{self.programs}{os.pathsep}{tools}{os.pathsep}/usr/bin{os.pathsep}/bin"
        self.environment = {
            "HOME": str(home),
            "NO_COLOR": "1",
            "GITHUB_SERVER_URL": NOWHERE,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Test",
            "GIT_AUTHOR_EMAIL": "test@example.com",
        } | {
            f"{name}_PORT": str(free_port())
            for name in (
                "HTTP", "METRICS", "PROMETHEUS", "ALERTMANAGER", "GRAFANA", "MAILPIT", "SMTP",
            )
        }  # fmt: skip
        # Others are not asked unless a test says so, whatever there is on this machine.
        for name in ("gh", "aws"):
            self.program(name, "#!/bin/sh\necho not logged in >&2\nexit 1\n")

    def program(self, name: str, text: str) -> None:
        """Put a program on PATH."""
        program = self.programs / name
        program.write_text(text, encoding="utf-8")
        program.chmod(0o755)

    def edit(self, path: str, old: str, new: str) -> None:
        """Change one text in one file, which must be there."""
        file = self.repository / path
        text = file.read_text(encoding="utf-8")
        assert old in text, f"{path} holds no {old!r}"
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    def look(self) -> Report:
        """Run `make doctor`."""
        result = run(
            "env", "--ignore-environment", f"PATH={self.path}",
            *(f"{name}={value}" for name, value in self.environment.items()),
            "make", "doctor", cwd=self.repository, check=False,
        )  # fmt: skip
        output = result.stdout + result.stderr
        assert result.returncode in (0, 2), output
        assert HIDDEN not in output
        sections: dict[str, list[Finding]] = {}
        for title, body in re.findall(r"^(\w.*)\n((?:  .*\n)*)", result.stdout, re.M):
            sections[title] = [
                Finding(*found)
                for found in re.findall(r"^  (\S+) +(.+)\n(?: +-> (.+)\n)?", body, re.M)
            ]
        return Report(result.returncode, output, sections)


@pytest.fixture
def doctor(ready_repo: Path, tools: Tools, tmp_path: Path) -> Doctor:
    """The doctor in a copy of a repository that its owner has set up."""
    copy = tmp_path / ready_repo.name
    shutil.copytree(ready_repo, copy, symlinks=True, ignore=shutil.ignore_patterns("node_modules"))
    for folder in ("services/orders", "checks"):
        link_dependencies(ready_repo / folder, copy / folder)
    return Doctor(copy, tmp_path / "home", tools.folder())


def contents(folder: Path) -> dict[str, str]:
    """Return a hash of each file below a folder, git's and the dependencies' too."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_fresh_repository_has_nothing_to_mend_and_is_left_as_it_is(doctor: Doctor) -> None:
    before = contents(doctor.repository)
    started = time.monotonic()
    report = doctor.look()
    assert time.monotonic() - started < 20
    assert report.code == 0, report.output
    assert [
        entry for entries in report.sections.values() for entry in entries if entry.level == "fail"
    ] == []
    assert set(report.sections) >= {
        "This machine", "Programs", "Newer programs", "Support", "Waivers",
        "Facts of environments", "Template", "GitHub", "AWS",
    }  # fmt: skip
    assert report.find("Programs", r"^\d+ programs as mise\.toml").level == "ok"
    assert report.find("Support", r"^Node\.js 24 is supported until").level == "ok"
    assert report.find("Support", r"^Kubernetes 1\.\d+ on EKS is supported").level == "ok"
    assert report.find("Waivers", "no waivers").level == "ok"
    assert report.find("This machine", "dependencies as their lockfiles").level == "ok"
    assert report.find("This machine", "ports of make dev are free").level == "ok"
    unknown = report.find("Facts of environments", "^dev: not known yet: registry, loadB")
    assert unknown.level == "warn" and unknown.fix.startswith("make env-facts ENV=dev")
    assert report.find("Template", "not made with cruft").fix.startswith("pipx run cruft link")
    assert report.find("Newer programs", "not asked").level == "-"
    assert report.find("GitHub", "not asked") == (
        "-",
        "not asked: log in, or go online",
        "gh auth login",
    )
    assert report.find("AWS", "not asked").fix.startswith("aws sso login")
    assert contents(doctor.repository) == before, "the doctor changed something"


def test_what_does_not_fit_here_is_told_with_its_remedy(
    doctor: Doctor, tools: Tools, tmp_path: Path
) -> None:
    few = tools.folder(*(name for name in fetch.EVERYDAY if name != "zizmor"))
    doctor.path = f"{doctor.programs}{os.pathsep}{few}{os.pathsep}/usr/bin{os.pathsep}/bin"
    doctor.program("hadolint", "#!/bin/sh\necho Haskell Dockerfile Linter 1.0.0\n")
    doctor.program("docker", "#!/bin/sh\nexit 1\n")
    doctor.edit(
        ".trivyignore.yaml",
        "vulnerabilities: []",
        "vulnerabilities:\n"
        f"  - {{id: CVE-1, expired_at: {day(-1)}}}\n"
        f"  - {{id: CVE-2, expired_at: {day(5)}}}\n"
        f"  - {{id: CVE-3, expired_at: {day(60)}}}\n"
        "  - {id: CVE-4, expired_at: later}",
    )
    versions = "infra/modules/environment/versions.tf"
    doctor.edit(versions, 'kubernetes_version = "1.36"', 'kubernetes_version = "1.35"')
    doctor.edit(versions, '"1.35" = "2027-03-27"', f'"1.35" = "{day(30)}"')
    doctor.edit("checks/doctor/here.js", "24: '2028", "24: '2020")
    text = (doctor.repository / "checks/doctor/here.js").read_text(encoding="utf-8")
    looked = re.search(r"LOOKED_AT = '(.+)'", text)
    assert looked
    doctor.edit("checks/doctor/here.js", looked[1], day(-400))
    doctor.edit("deploy/environments/staging/facts.yaml", "region: eu-west-1", "region: europe")
    lock = doctor.repository / "services/orders/package-lock.json"
    os.utime(lock, (time.time() + 60, time.time() + 60))
    del doctor.environment["GIT_AUTHOR_NAME"], doctor.environment["GIT_AUTHOR_EMAIL"]
    (tmp_path / "home/.gitconfig").write_text("[user]\nuseConfigOnly = true\n", encoding="utf-8")

    with socket.create_server(("127.0.0.1", int(doctor.environment["HTTP_PORT"]))) as server:
        port = server.getsockname()[1]
        report = doctor.look()

    assert report.code != 0
    for section, level, text, fix in (
        ("Programs", "fail", r"^zizmor is missing; make check needs it", "mise install"),
        ("Programs", "warn", r"pins hadolint .* is: Haskell Dockerfile Linter 1\.0\.0", "mise install"),
        ("Support", "fail", r"^Node\.js 24: support ended on 2020-04-30", r"services/\*/Dockerfile"),
        ("Support", "warn", rf"^Kubernetes 1\.35 on EKS: support ends on {day(30)}, in 30 days", "docs/infra.md"),
        ("Support", "warn", rf"last compared .* {day(-400)}", "checks/doctor/here.js"),
        ("Waivers", "fail", rf"^CVE-1: the waiver expired on {day(-1)}", "docs/findings.md"),
        ("Waivers", "warn", rf"^CVE-2: the waiver expires on {day(5)}", "docs/findings.md"),
        ("Waivers", "fail", r"^CVE-4: later is no day", "make contracts ONLY=waivers"),
        ("Waivers", "ok", r"^1 waiver with time left", ""),
        ("Facts of environments", "fail", r'^staging: region = "europe": must be', "staging/facts.yaml"),
        ("This machine", "warn", r"older than the lockfile: services/orders$", "make setup"),
        ("This machine", "warn", rf"^port {port} is taken", "HTTP_PORT=0"),
        ("This machine", "warn", r"^git does not know who you are", r"git config --global user\.email"),
        ("This machine", "warn", r"^Docker does not answer", "docker version"),
        ("This machine", "-", r"^nothing is checked before a commit", "pre-commit install"),
    ):  # fmt: skip
        found = report.find(section, text)
        assert found.level == level, f"{section}: {found}"
        assert re.search(fix, found.fix), f"{section}: {found}"


def test_without_dependencies_and_git_it_still_looks(
    default_repo: Path, tools: Tools, tmp_path: Path
) -> None:
    report = Doctor(default_repo, tmp_path / "home", tools.folder()).look()
    assert report.code == 0, report.output
    assert report.find("This machine", "services/orders, checks").fix == "make setup"
    assert report.find("This machine", "no git repository").fix.startswith("git init")
    assert report.find("Waivers", "not looked at").fix == "make setup"


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A template as the doctor sees it: a git repository."""
    folder = tmp_path / "template"
    folder.mkdir()
    (folder / "cookiecutter.json").write_text("{}", encoding="utf-8")
    return commit(folder)


class Releases(BaseHTTPRequestHandler):
    """The pages of GitHub that lead to the latest release; `tags` by repository."""

    tags: dict[str, str]

    def do_HEAD(self) -> None:
        """Answer as GitHub does."""
        repository = self.path.removeprefix("/").removesuffix("/releases/latest")
        tag = self.tags.get(repository)
        self.send_response(302 if tag else 404)
        if tag:
            self.send_header("Location", f"/{repository}/releases/tag/{tag}")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def releases(doctor: Doctor) -> Iterator[dict[str, str]]:
    """The latest tags that GitHub tells of, by repository: those that are pinned."""
    text = (doctor.repository / "mise.toml").read_text(encoding="utf-8")
    Releases.tags = {
        name: f"v{version}" for name, version in re.findall(r'^"aqua:(.+)" = "(.+)"', text, re.M)
    }
    server = HTTPServer(("127.0.0.1", 0), Releases)
    doctor.environment["GITHUB_SERVER_URL"] = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Releases.tags
    server.shutdown()
    thread.join()
    server.server_close()


# What the AWS CLI answers, by the first words of what it is asked; anything else may change something.
AWS = """#!{python}
import json, os, sys
with open(os.environ["HOME"] + "/aws.json", encoding="utf-8") as file:
    answers = json.load(file)
asked = " ".join(sys.argv[1:])
for words, (code, text) in answers.items():
    if asked.startswith(words):
        print(text, file=sys.stderr if code else sys.stdout)
        sys.exit(code)
sys.exit("not expected: " + asked)
"""


def test_newer_programs_a_newer_template_and_aws_are_told(
    doctor: Doctor, releases: dict[str, str], template: Path, tmp_path: Path
) -> None:
    releases["helm/helm"] = "v99.0.0"
    releases["kubernetes-sigs/kustomize"] = "kustomize%2Fv99.1.0"
    # Another program of the same repository, and one that no longer tells.
    releases["google/go-containerregistry"] = "other/v99.0.0"
    del releases["yannh/kubeconform"]

    made_of = "0" * 40
    state = {"template": str(template), "commit": made_of, "checkout": None}
    (doctor.repository / ".cruft.json").write_text(json.dumps(state), encoding="utf-8")
    latest = run("git", "rev-parse", "HEAD", cwd=template).stdout.strip()

    for environment, account in (
        ("dev", "111122223333"),
        ("staging", "444455556666"),
        ("production", "111122223333"),
    ):
        file = doctor.repository / f"infra/envs/{environment}/state.tfbackend"
        file.write_text(f'bucket = "acme-shop-state-{account}"\n', encoding="utf-8")
    doctor.program("aws", AWS.format(python=sys.executable))
    doctor.environment["AWS_SECRET_ACCESS_KEY"] = HIDDEN
    cluster = "eks describe-cluster --name acme-shop-"
    answers = {
        "sts get-caller-identity": (0, "111122223333"),
        "s3api head-bucket --bucket acme-shop-state-111122223333": (
            254, "An error occurred (403) when calling the HeadBucket operation: Forbidden",
        ),
        f"{cluster}dev --region eu-west-1": (0, "ACTIVE\t1.35"),
        f"{cluster}production": (254, "An error occurred (ResourceNotFoundException) when calling"),
    }  # fmt: skip
    (tmp_path / "home/aws.json").write_text(json.dumps(answers), encoding="utf-8")

    report = doctor.look()
    assert report.code != 0
    for section, level, text, fix in (
        ("Newer programs", "warn", r"^helm/helm is at 99\.0\.0; mise\.toml pins", r"write 99\.0\.0 there"),
        ("Newer programs", "warn", r"^kubernetes-sigs/kustomize is at 99\.1\.0", r"99\.1\.0"),
        ("Newer programs", "-", r"^2 of \d+ programs did not say", ""),
        ("Newer programs", "ok", r"^\d\d programs of mise\.toml are the newest", ""),
        ("Template", "warn", rf" is at {latest[:12]}; this repository at 0{{12}}$", "^make update$"),
        ("AWS", "fail", r"^dev: acme-shop-state-111122223333, .* does not let this login in \(403\)", "make bootstrap-aws"),
        ("AWS", "warn", r"^dev: acme-shop-dev runs Kubernetes 1\.35; versions\.tf says 1\.36", "make infra-plan infra-apply ENV=dev"),
        ("AWS", "-", r"^staging: not asked: it is in account 444455556666, and this login in 1111", ""),
        ("AWS", "-", r"^production: there is no cluster acme-shop-production", "ENV=production"),
    ):  # fmt: skip
        found = report.find(section, text)
        assert found.level == level, f"{section}: {found}"
        assert re.search(fix, found.fix), f"{section}: {found}"

    # All well.
    for name in list(releases):
        releases[name] = "v0.0.1"
    state["commit"] = latest
    (doctor.repository / ".cruft.json").write_text(json.dumps(state), encoding="utf-8")
    answers["s3api head-bucket --bucket acme-shop-state-111122223333"] = (0, "")
    answers[f"{cluster}dev --region eu-west-1"] = (0, "ACTIVE\t1.36")
    (tmp_path / "home/aws.json").write_text(json.dumps(answers), encoding="utf-8")
    report = doctor.look()
    assert report.code == 0, report.output
    assert report.find("Template", "^as .* is now$").level == "ok"
    assert (
        report.find("AWS", r"^dev: acme-shop-dev runs Kubernetes 1\.36; its state is in").level
        == "ok"
    )


def test_releases_of_the_template_count_once_there_are_some(doctor: Doctor, template: Path) -> None:
    commits = {}
    for release in ("v1.9.0", "v1.10.0", "v2-rc"):
        (template / "README.md").write_text(release, encoding="utf-8")
        commit(template)
        commits[release] = run("git", "rev-parse", "HEAD", cwd=template).stdout.strip()
        tag = ("-c", "user.name=T", "-c", "user.email=t@example.com", "tag", "--annotate")
        run("git", *tag, "--message=x", release, cwd=template)
    for made_of, text in (
        ("v1.9.0", r" is at v1\.10\.0; this repository at v1\.9\.0$"),
        ("v1.10.0", r"^as .* is now$"),
    ):
        state = {"template": str(template), "commit": commits[made_of]}
        (doctor.repository / ".cruft.json").write_text(json.dumps(state), encoding="utf-8")
        doctor.look().find("Template", text)


def test_a_template_that_does_not_answer_is_no_fault_and_its_password_is_not_shown(
    doctor: Doctor,
) -> None:
    state = {"template": f"https://me:{HIDDEN}@127.0.0.1:9/t.git", "commit": "0" * 40}
    (doctor.repository / ".cruft.json").write_text(json.dumps(state), encoding="utf-8")
    report = doctor.look()
    assert report.code == 0
    found = report.find("Template", "not asked for a newer one")
    assert found.level == "-" and "https://127.0.0.1:9/t.git" in found.text


def test_what_does_not_fit_on_github_is_told(doctor: Doctor, tmp_path: Path) -> None:
    origin = "https://github.com/acme/acme-shop.git"
    run("git", "remote", "add", "origin", origin, cwd=doctor.repository)
    state = tmp_path / "github.json"
    refused = ["rulesets", 403, "Upgrade to another plan"]
    state.write_text(json.dumps({"name": "acme/acme-shop", "refuses": [refused]}), encoding="utf-8")
    doctor.environment["GITHUB_STATE"] = str(state)
    doctor.program(
        "gh", f'#!/bin/sh\nexec node "{doctor.repository}/.github/scripts/testing/github.js" "$@"\n'
    )
    report = doctor.look()
    assert report.code != 0
    assert report.find("GitHub", "^must hold, and does not: ruleset main").level == "fail"
    settings = report.find("GitHub", r"^\d+ settings are not as docs/github\.md says")
    assert settings.level == "warn" and settings.fix == "make github-setup APPLY=yes"
    assert report.find("GitHub", "^no GitHub App: releases").level == "warn"
    roles = report.find("GitHub", "^the roles in AWS do not trust this repository")
    assert "infra/bootstrap/terraform.tfvars" in roles.text
    assert (roles.level, roles.fix) == ("warn", "make bootstrap-aws, and commit that file")
    assert json.loads(state.read_text(encoding="utf-8"))["calls"] == [], "it changed something"


def test_what_a_program_has_started_ends_when_its_time_is_up(
    ready_repo: Path, tools: Tools
) -> None:
    code = (
        "import { ask } from './checks/doctor/ask.js';"
        "console.log((await ask('sh', ['-c', 'sleep 60 & sleep 60'], { ms: 200 })).status);"
    )
    started = time.monotonic()
    result = run("node", "--input-type=module", "--eval", code, cwd=ready_repo, path=tools.folder())
    assert result.stdout == "undefined\n"
    assert time.monotonic() - started < 10
