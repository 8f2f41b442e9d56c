"""The steps of a release and of a promotion really run, by the generated repository's own scripts.

buildah builds the image in the place of BuildKit, a registry on the loopback interface takes it, and
cosign signs with a key that is thrown away, as Sigstore knows only workflows on GitHub. GitHub itself
is a bare repository and the repository's own stand-in for gh.
"""

from __future__ import annotations

import base64
import datetime
import json
import os
import random
import re
import shutil
import string
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from conftest import Deployable, Tools, commit, link_dependencies
from delivery import layouts
from services.image import Buildah
from support import free_port, require, run, shell_blocks, with_facts

from tools import vulnerabilities
from tools.vulnerabilities import Advisory

pytestmark = pytest.mark.slow

IDENTITY = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
COMMITTER = "release-app[bot]"
RELEASE_FILE = "deploy/apps/orders/overlays/{}/release.yaml"
NAME = "acme-shop/orders"
WITH_TOKEN = {"GH_TOKEN": "of the App"}
# The first is real. The others must not stop an image: nothing mends it, and it is not serious.
KNOWN_BAD = Advisory("CVE-2021-23337", "lodash", "<4.17.21", "HIGH", "4.17.21")
ADVISORIES = (
    KNOWN_BAD,
    Advisory("CVE-2000-0001", "lodash", ">=1.0.0", "CRITICAL"),
    Advisory("CVE-2000-0002", "lodash", "<4.17.21", "LOW", "4.17.21"),
)
BAD_PACKAGE = {
    "app/node_modules/lodash/package.json": '{"name": "lodash", "version": "4.17.20"}\n',
}


@dataclass
class Checkout:
    """A generated repository whose `origin` is a bare repository beside it."""

    path: Path
    origin: Path
    environment: dict[str, str]
    programs: Path
    transcript: list[str] = field(default_factory=list)

    def git(self, *arguments: str) -> str:
        return run("git", *IDENTITY, *arguments, cwd=self.path).stdout.strip()

    def main(self) -> str:
        """Return the commit of main in the remote."""
        return run("git", "rev-parse", "main", cwd=self.origin).stdout.strip()

    def script(
        self, name: str, *arguments: str | Path, check: bool = True, **environment: str
    ) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
        """Run a script as a workflow does, and return what came of it and its outputs."""
        output = self.path.parent / "output"
        output.write_text("", encoding="utf-8")
        result = run(
            "node",
            f".github/scripts/{name}",
            *arguments,
            cwd=self.path,
            path=self.programs,
            check=check,
            timeout=600,
            environment={**self.environment, "GITHUB_OUTPUT": str(output), **environment},
        )
        lines = output.read_text(encoding="utf-8").splitlines()
        outputs = dict(line.split("=", 1) for line in lines)
        shown = " ".join(str(argument) for argument in arguments)
        said = [*result.stdout.splitlines(), *(f"output {line}" for line in lines)]
        said += result.stderr.splitlines() if result.returncode else []
        self.transcript += [f"$ node .github/scripts/{name} {shown}", *said]
        if result.returncode:
            self.transcript.append(f"(exit code {result.returncode})")
        self.transcript.append("")
        return result, outputs

    def change(self, text: str) -> str:
        """Change the service, commit and push it; return the commit."""
        with (self.path / "services/orders/src/server.ts").open("a", encoding="utf-8") as file:
            file.write(f"// {text}\n")
        self.git("commit", "--quiet", "--all", f"--message={text}")
        self.git("push", "--quiet", "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def changes(self, first: str, second: str) -> list[str]:
        """Return the changed lines between two commits of the remote, with their file."""
        diff = run("git", "diff", "--unified=0", first, second, cwd=self.origin).stdout
        return [
            line
            for line in diff.splitlines()
            if re.match(r"[+-]", line) and not line.startswith("---")
        ]

    def message(self, reference: str = "main") -> str:
        return run("git", "log", "-1", "--format=%B", reference, cwd=self.origin).stdout.strip()

    def pulls(self) -> list[dict[str, str]]:
        """Return the pull requests that the stand-in for gh keeps."""
        state = json.loads(Path(self.environment["GH_STATE"]).read_text(encoding="utf-8"))
        found: list[dict[str, str]] = state.get("pulls", [])
        return found


@pytest.fixture(scope="module")
def make_checkout(
    deployable: Deployable, ready_repo: Path, tools: Tools, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Checkout]:
    """Return a function that makes a checkout whose environments use a registry."""

    def make(registry: str, *programs: str) -> Checkout:
        home = tmp_path_factory.mktemp("release")
        bare = shutil.copytree(
            deployable(), home / "bare", ignore=shutil.ignore_patterns("node_modules")
        )
        path = with_facts(bare, home / "checkout", {"registry": registry})
        commit(path)
        origin = home / "origin.git"
        run("git", "clone", "--quiet", "--bare", path, origin, cwd=home)
        run("git", "remote", "add", "origin", origin, cwd=path)
        run("git", "fetch", "--quiet", "origin", cwd=path)
        link_dependencies(ready_repo / "checks", path / "checks")

        state = home / "gh.json"
        state.write_text('{"labels": [], "issues": [], "calls": []}', encoding="utf-8")
        stand_ins = home / "bin"
        stand_ins.mkdir()
        for name in ("node", *programs):
            (stand_ins / name).symlink_to(tools.path(name))
        npm = tools.path("node").parent / "npm"
        (stand_ins / "npm").symlink_to(npm)
        script(stand_ins / "gh", f'exec node "{path}/.github/scripts/testing/gh.js" "$@"')
        # No step needs its token in what make starts, which is code of others too.
        script(
            stand_ins / "make", f'[ -z "$GH_TOKEN" ] || exit 9\nexec {shutil.which("make")} "$@"'
        )
        environment = {"GH_STATE": str(state), "COMMITTER": COMMITTER}
        return Checkout(path, origin, environment, stand_ins)

    return make


def script(path: Path, text: str) -> None:
    """Write a program of a shell command."""
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def images(digit: str) -> str:
    """Return the output of build.js for one digest."""
    return json.dumps([{"service": "orders", "digest": f"sha256:{digit * 64}"}])


def released(checkout: Checkout, reference: str = "main", environment: str = "dev") -> str:
    """Return the digest that an environment runs, as the remote has it."""
    file = f"{reference}:{RELEASE_FILE.format(environment)}"
    text = run("git", "show", file, cwd=checkout.origin).stdout
    found = re.search(r"^  digest: (\S+)$", text, re.M)
    assert found, text
    return found[1]


# ---------------------------------------------------------------------- writing digests to git


@pytest.fixture
def checkout(make_checkout: Callable[..., Checkout]) -> Checkout:
    """A checkout of a repository that has released nothing."""
    return make_checkout("registry.example")


def test_a_release_changes_one_line_in_one_environment(checkout: Checkout) -> None:
    source = checkout.main()
    checkout.script("deploy.js", source, images("a"), check=True, **WITH_TOKEN)
    zeros = "0" * 64
    assert checkout.changes(source, checkout.main()) == [
        f"+++ b/{RELEASE_FILE.format('dev')}",
        f"-  digest: sha256:{zeros}",
        f"+  digest: sha256:{'a' * 64}",
    ]
    assert checkout.message() == (
        f"Release orders to dev\n\norders: sha256:{'a' * 64}\n\nSource: {source}"
    )
    log = run("git", "log", "--format=%P %an <%ae>", "-1", "main", cwd=checkout.origin).stdout
    assert log.strip() == f"{source} {COMMITTER} <{COMMITTER}@users.noreply.github.com>"


def test_the_same_release_again_changes_nothing(checkout: Checkout) -> None:
    source = checkout.main()
    checkout.script("deploy.js", source, images("a"))
    after = checkout.main()
    result, _ = checkout.script("deploy.js", source, images("a"))
    assert "dev runs sha256:aaaa" in result.stdout
    assert checkout.main() == after


def test_a_release_waits_for_nobody_who_pushes_meanwhile(checkout: Checkout) -> None:
    source = checkout.main()
    # The remote refuses the first push, as it does when somebody was faster, and takes a commit.
    other = checkout.path.parent / "other"
    run("git", "clone", "--quiet", checkout.origin, other, cwd=checkout.path)
    (other / "README.md").write_text("Changed\n", encoding="utf-8")
    run("git", *IDENTITY, "commit", "--quiet", "--all", "--message=Meanwhile", cwd=other)
    script(
        checkout.origin / "hooks/pre-receive",
        f'test -e "{other}/pushed" && exit 0\ntouch "{other}/pushed"\n'
        f'env -i PATH="$PATH" git -C "{other}" push --quiet origin HEAD:main; exit 1',
    )
    result, _ = checkout.script("deploy.js", source, images("a"))
    assert "main has moved, or refuses the push; try 2 of 5" in result.stdout
    assert released(checkout) == f"sha256:{'a' * 64}"
    assert checkout.message("main~1") == "Meanwhile"


def test_a_push_that_is_always_refused_is_an_error(checkout: Checkout) -> None:
    source = checkout.main()
    script(checkout.origin / "hooks/pre-receive", "echo protected branch hook declined >&2; exit 1")
    result, _ = checkout.script("deploy.js", source, images("a"), check=False)
    assert result.returncode == 1
    assert "protected branch hook declined" in result.stderr
    assert checkout.main() == source


def test_an_old_run_does_not_take_dev_back(checkout: Checkout) -> None:
    old = checkout.main()
    new = checkout.change("Newer")
    checkout.script("deploy.js", new, images("b"))
    result, _ = checkout.script("deploy.js", old, images("a"))
    assert f"dev runs a newer image, built from {new}" in result.stdout
    assert released(checkout) == f"sha256:{'b' * 64}"


def test_another_image_of_the_same_commit_is_released(checkout: Checkout) -> None:
    source = checkout.main()
    for digit in "ab":
        checkout.script("deploy.js", source, images(digit))
    assert released(checkout) == f"sha256:{'b' * 64}"


def test_changes_that_are_not_committed_do_not_get_into_a_release(checkout: Checkout) -> None:
    source = checkout.main()
    (checkout.path / "README.md").write_text("Changed\n", encoding="utf-8")
    result, _ = checkout.script("deploy.js", source, images("a"), check=False)
    assert result.returncode == 1 and "not committed" in result.stderr
    assert checkout.main() == source


def test_without_the_app_a_release_is_a_pull_request(checkout: Checkout) -> None:
    source = checkout.main()
    checkout.script("deploy.js", source, images("a"), "--pull-request")
    assert checkout.main() == source, "it pushed to main"
    assert released(checkout, "release/dev") == f"sha256:{'a' * 64}"
    first = run("git", "rev-parse", "release/dev", cwd=checkout.origin).stdout
    [pull] = checkout.pulls()
    assert (pull["head"], pull["base"]) == ("release/dev", "main")
    assert pull["title"] == "Release orders to dev"
    assert pull["body"].endswith(f"\n\nSource: {source}")
    # Again: nothing. A newer one: the same pull request.
    checkout.script("deploy.js", source, images("a"), "--pull-request")
    assert run("git", "rev-parse", "release/dev", cwd=checkout.origin).stdout == first
    checkout.script("deploy.js", source, images("b"), "--pull-request")
    [pull] = checkout.pulls()
    assert f"sha256:{'b' * 64}" in pull["body"]
    assert released(checkout, "release/dev") == f"sha256:{'b' * 64}"


def test_a_rollback_takes_back_one_service_of_a_release(checkout: Checkout, tmp_path: Path) -> None:
    """The commands of the runbooks, after releases that each have two services in one commit."""
    other = "payments"
    for folder in ("services", "deploy/apps"):
        shutil.copytree(checkout.path / folder / "orders", checkout.path / folder / other)
    checkout.git("add", ".")
    checkout.change("A second service")
    for digit in "ab":
        source = checkout.main()
        both = [{"service": name, "digest": f"sha256:{digit * 64}"} for name in ("orders", other)]
        checkout.script("deploy.js", source, json.dumps(both))
    bad = checkout.main()
    assert checkout.message().startswith("Release orders, payments to dev")

    # main takes no push, as on GitHub.
    script(
        checkout.origin / "hooks/update",
        '[ "$1" != refs/heads/main ] || { echo protected branch >&2; exit 1; }',
    )
    called = tmp_path / "called"
    script(checkout.programs / "gh", f'echo "$@" > "{called}"')
    checkout.git("config", "user.name", "Test")
    checkout.git("config", "user.email", "test@example.com")
    checkout.git("switch", "--quiet", "--force-create", "main", "origin/main")
    (commands, *_) = shell_blocks(checkout.path, "../runbooks/README.md", "Roll back")
    words = {"SERVICE": "orders", "ENV": "dev", "COMMIT": bad[:7]}
    for word, value in words.items():
        commands = re.sub(rf"\b{word}\b", value, commands)
    result = run("bash", "-e", "-c", commands, cwd=checkout.path, path=checkout.programs)
    assert bad[:7] in result.stdout, "the list of commits does not show the release"

    branch = f"roll-back-orders-{bad[:7]}"
    assert checkout.changes(bad, branch) == [
        f"+++ b/{RELEASE_FILE.format('dev')}",
        f"-  digest: sha256:{'b' * 64}",
        f"+  digest: sha256:{'a' * 64}",
    ], "it changed more than the one service"
    assert checkout.main() == bad
    assert called.read_text(encoding="utf-8") == "pr create --fill\n"


# --------------------------------------------------------------------------- the whole way


@contextmanager
def registry(crane: Path, port: int) -> Iterator[None]:
    """Serve an empty registry on the loopback interface."""
    process = subprocess.Popen(
        [crane, "registry", "serve", f"--address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        for _ in range(100):
            try:
                opener.open(f"http://127.0.0.1:{port}/v2/", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(10)


@dataclass
class Delivery:
    """What came of a release, step by step."""

    checkout: Checkout
    host: str
    key: Path
    home: Path
    source: str
    docker: list[str]
    refused: dict[str, subprocess.CompletedProcess[str]]
    before: str
    layout: Path
    report: Path
    digest: str

    @property
    def image(self) -> str:
        return f"{self.host}/{NAME}"

    def crane(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        program = self.checkout.programs / "crane"
        return run(program, *arguments, cwd=self.home, check=check)

    def cosign(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        program = self.checkout.programs / "cosign"
        return run(
            program, *arguments, cwd=self.home, check=check, environment={"COSIGN_PASSWORD": ""}
        )

    def publish(
        self, layout: Path, digest: str, *, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        result, _ = self.checkout.script(
            "publish.js", "orders", digest, layout, self.report, "--key", self.key, check=check
        )
        return result

    def content(self) -> dict[str, str]:
        """Return all tags of the registry with their digests, those of signatures too."""
        tags = self.crane("ls", self.image).stdout.split()
        return {tag: self.crane("digest", f"{self.image}:{tag}").stdout.strip() for tag in tags}


@pytest.fixture(scope="module")
def built(
    make_checkout: Callable[..., Checkout], tools: Tools
) -> Iterator[tuple[Checkout, str, Path]]:
    """A checkout, its registry, and an OCI layout of its image for two platforms."""
    require(
        shutil.which("buildah") is not None and os.geteuid() == 0,
        "a release (there is no buildah with root)",
        "On Debian and Ubuntu as root: apt-get install --no-install-recommends buildah",
    )
    host = f"127.0.0.1:{free_port()}"
    checkout = make_checkout(host, "crane", "cosign", "trivy")
    with tempfile.TemporaryDirectory(prefix="slipway-release-") as scratch:
        engine = Buildah(Path(scratch), tools.path("node"))
        revision = checkout.git("rev-parse", "--short=12", "HEAD")
        image = engine.build(
            checkout.path / "services/orders", SERVICE_VERSION="0.1.0", SERVICE_REVISION=revision
        )
        layout = checkout.path.parent / "prebuilt"
        engine.layout(image, layout, "arm64")
        engine.close()
    cache = checkout.path.parent / "trivy"
    vulnerabilities.make(cache, ADVISORIES)
    checkout.environment |= {
        "TRIVY_CACHE_DIR": str(cache),
        "TRIVY_SKIP_DB_UPDATE": "true",
        "COSIGN_PASSWORD": "",
    }
    # It hands over what buildah has built, where BuildKit would have written it.
    script(
        checkout.programs / "docker",
        '[ "$*" = "buildx version" ] && exit\n'
        f'echo "$*" >> "{checkout.path.parent}/docker"\n'
        "for argument; do case $argument in *,dest=*) target=${argument#*,dest=};; esac; done\n"
        f'cp -r "{layout}" "${{target%%,*}}"',
    )
    with registry(checkout.programs / "crane", int(host.split(":")[1])):
        yield checkout, host, layout


@pytest.fixture(scope="module")
def delivery(built: tuple[Checkout, str, Path]) -> Delivery:
    """A whole release, as release.yml does it, and attempts to publish something else before."""
    checkout, host, prebuilt = built
    home = checkout.path.parent
    key = home / "cosign"
    run(
        checkout.programs / "cosign", "generate-key-pair", f"--output-key-prefix={key}",
        cwd=home, environment={"COSIGN_PASSWORD": ""},
    )  # fmt: skip
    source = checkout.main()
    _, outputs = checkout.script("changed-services.js", "origin/main")
    _, outputs = checkout.script("build.js", "build/layouts", outputs["services"])
    [image] = json.loads(outputs["images"])
    layout = checkout.path / "build/layouts" / image["service"]
    report = checkout.path / "build/report"
    checkout.script("scan.js", layout, report)
    result = Delivery(
        checkout=checkout,
        host=host,
        key=key,
        home=home,
        source=source,
        docker=(home / "docker").read_text(encoding="utf-8").splitlines(),
        refused={},
        before="",
        layout=layout,
        report=report,
        digest=image["digest"],
    )

    tampered = shutil.copytree(layout, home / "tampered")
    layer = max((tampered / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    with layer.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    other = layouts.variant(prebuilt, home / "other", {"app/src/extra.ts": "export {};\n"})
    result.refused["one byte"] = result.publish(tampered, result.digest, check=False)
    result.refused["another image"] = result.publish(other, result.digest, check=False)
    result.before = result.crane("catalog", host).stdout

    result.publish(layout, result.digest)
    checkout.script("deploy.js", source, outputs["images"])
    place = os.environ.get("SLIPWAY_TRANSCRIPT")
    if place:
        text = "\n".join(checkout.transcript)
        for path, name in ((str(checkout.path) + "/", ""), (str(home), "..")):
            text = text.replace(path, name)
        Path(place).write_text(text, encoding="utf-8")
    return result


@pytest.mark.long
def test_docker_is_asked_for_both_platforms_and_nothing_beside_the_image(
    delivery: Delivery,
) -> None:
    [call] = delivery.docker
    assert "--platform linux/amd64,linux/arm64" in call
    assert "--provenance=false --sbom=false" in call
    assert f"type=oci,dest={delivery.layout},tar=false" in call
    assert not re.search(r"--(load|push|cache)", call)


@pytest.mark.long
@pytest.mark.parametrize(
    ("attempt", "message"), [("one byte", "is changed"), ("another image", "must be sha256:")]
)
def test_what_was_not_scanned_is_refused_before_anything_is_pushed(
    delivery: Delivery, attempt: str, message: str
) -> None:
    result = delivery.refused[attempt]
    assert result.returncode == 1 and message in result.stderr, result.stderr
    assert delivery.before.split() == [], "something was pushed"


@pytest.mark.long
def test_the_digest_is_the_same_from_the_build_to_git(delivery: Delivery) -> None:
    digest = delivery.digest
    assert layouts.digest_of(delivery.layout) == digest
    assert delivery.crane("digest", f"{delivery.image}@{digest}").stdout.strip() == digest
    assert released(delivery.checkout) == digest
    pulled = delivery.home / "pulled"
    delivery.checkout.script("pull.js", f"{delivery.image}@{digest}", pulled)
    here, there = (
        {path.name: path.read_bytes() for path in (layout / "blobs/sha256").iterdir()}
        for layout in (delivery.layout, pulled)
    )
    assert here == there, "the registry holds other bytes than were built"
    assert set(layouts.manifests(pulled)) == {"amd64", "arm64"}


@pytest.mark.long
def test_one_tag_names_the_commit_and_never_moves(delivery: Delivery) -> None:
    tags = delivery.content()
    assert f"release-{delivery.source[:12]}-{delivery.digest[7:19]}" in tags
    # The registry's rules for old images (infra/modules/registry) leave these alone.
    beside = [tag for tag in tags if re.fullmatch(r"sha256-[0-9a-f]{64}\.(sig|att)", tag)]
    assert len(beside) == 3, f"not one signature and two SBOMs under tags of their own: {set(tags)}"


@pytest.mark.long
def test_the_signature_is_that_of_the_image_and_of_nothing_else(delivery: Delivery) -> None:
    verify = ("verify", "--insecure-ignore-tlog", "--new-bundle-format=false")
    image = f"{delivery.image}@{delivery.digest}"
    said = delivery.cosign(*verify, f"--key={delivery.key}.pub", image).stdout
    [signed] = json.loads(said[said.index("[") :])
    assert signed["critical"]["image"]["docker-manifest-digest"] == delivery.digest
    stranger = delivery.home / "stranger"
    delivery.cosign("generate-key-pair", f"--output-key-prefix={stranger}")
    assert delivery.cosign(*verify, f"--key={stranger}.pub", image, check=False).returncode != 0
    # Beside the index, nothing is signed: manifests name the digest of the index.
    part = layouts.manifests(delivery.layout)["arm64"]["digest"]
    unsigned = f"{delivery.image}@{part}"
    assert delivery.cosign(*verify, f"--key={delivery.key}.pub", unsigned, check=False).returncode


@pytest.mark.long
@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_the_sbom_of_each_platform_is_signed(delivery: Delivery, architecture: str) -> None:
    digest = layouts.manifests(delivery.layout)[architecture]["digest"]
    said = delivery.cosign(
        *("verify-attestation", "--type=cyclonedx", "--insecure-ignore-tlog"),
        *("--new-bundle-format=false", f"--key={delivery.key}.pub", f"{delivery.image}@{digest}"),
        "--output=json",
    ).stdout
    payload = json.loads(said.splitlines()[0])["payload"]
    statement = json.loads(base64.b64decode(payload))
    made = json.loads((delivery.report / f"linux-{architecture}.cdx.json").read_text("utf-8"))
    assert statement["predicate"] == made
    assert statement["subject"][0]["digest"]["sha256"] == digest.removeprefix("sha256:")
    names = {component["name"] for component in made["components"]}
    assert {"fastify", "pino"} <= names


@pytest.mark.long
def test_a_second_run_changes_nothing(delivery: Delivery) -> None:
    registry_before, main_before = delivery.content(), delivery.checkout.main()
    said = delivery.publish(delivery.layout, delivery.digest).stdout
    assert said.count("was signed before") == 3, said
    image = json.dumps([{"service": "orders", "digest": delivery.digest}])
    delivery.checkout.script("deploy.js", delivery.source, image)
    assert delivery.content() == registry_before
    assert delivery.checkout.main() == main_before
    delivery.checkout.git("fetch", "--quiet", "origin")
    _, outputs = delivery.checkout.script("changed-services.js", "origin/main")
    assert outputs["services"] == "[]"


# ------------------------------------------------------------------------------- promotion


@dataclass
class Promotion:
    """A second release, after the first one is in staging, and its promotion."""

    delivery: Delivery
    first: dict[str, str]
    second: dict[str, str]
    digest: str
    commits: tuple[str, str, str]


def promote(delivery: Delivery, start: str, to: str) -> dict[str, str]:
    """Promote as promote.yml does, and return the pull request."""
    checkout = delivery.checkout
    checkout.git("fetch", "--quiet", "origin")
    checkout.git("checkout", "--quiet", "--detach", "origin/main")
    place = checkout.path / "build" / f"promote-{checkout.main()[:12]}"
    _, outputs = checkout.script("plan-promotion.js", "all", start, to)
    plan = outputs["plan"]
    checkout.script(
        "collect-evidence.js", start, plan, place / "layouts", place / "evidence", "--key", delivery.key
    )  # fmt: skip
    for service in json.loads(outputs["services"]):
        report = place / f"scans/scan-{service}"
        checkout.script("scan.js", place / "layouts" / service, report, "--report")
    evidence = (place / "evidence", place / "scans")
    checkout.script("promote.js", start, to, plan, *evidence, check=True, **WITH_TOKEN)
    return checkout.pulls()[-1]


@pytest.fixture(scope="module")
def promotion(delivery: Delivery) -> Promotion:
    """Promote the first release to staging, release a second one, and promote it too."""
    checkout = delivery.checkout
    first = dict(promote(delivery, "dev", "staging"))
    before = checkout.main()
    run("git", "update-ref", "refs/heads/main", "promote/staging/orders", cwd=checkout.origin)
    merged = checkout.main()

    checkout.git("fetch", "--quiet", "origin")
    checkout.git("checkout", "--quiet", "--detach", "origin/main")
    source = checkout.change("Greet more people")
    package = {"app/node_modules/left-pad/package.json": '{"name": "left-pad", "version": "1.3.0"}'}
    labels = {"org.opencontainers.image.revision": source[:12]}
    layout = layouts.variant(delivery.layout, delivery.home / "second", package, labels)
    digest = layouts.digest_of(layout)
    checkout.script("scan.js", layout, delivery.home / "second-report")
    checkout.script(
        "publish.js", "orders", digest, layout, delivery.home / "second-report", "--key", delivery.key
    )  # fmt: skip
    image = json.dumps([{"service": "orders", "digest": digest}])
    checkout.script("deploy.js", source, image)
    second = dict(promote(delivery, "dev", "staging"))
    return Promotion(delivery, first, second, digest, (before, merged, source))


@pytest.mark.long
def test_a_promotion_copies_the_digest_and_nothing_else(promotion: Promotion) -> None:
    before, merged, _ = promotion.commits
    digest = promotion.delivery.digest
    checkout = promotion.delivery.checkout
    assert checkout.changes(before, merged) == [
        f"+++ b/{RELEASE_FILE.format('staging')}",
        f"-  digest: sha256:{'0' * 64}",
        f"+  digest: {digest}",
    ]
    assert released(checkout, "promote/staging/orders", "staging") == promotion.digest
    assert released(checkout, "main", "staging") == digest, "it did not wait for a merge"
    assert promotion.second["title"] == "Promote orders from dev to staging"


@pytest.mark.long
def test_a_pull_request_tells_what_its_reviewer_needs(promotion: Promotion) -> None:
    first, second = promotion.first["body"], promotion.second["body"]
    assert "replaces: nothing, this is the first one" in first
    assert "staging has not run orders yet" in first
    assert f"replaces: `{promotion.delivery.digest}`" in second
    assert "signature: valid" in second
    for architecture in ("amd64", "arm64"):
        line = rf"- SBOM of linux/{architecture}: signed, \d+ components; changed:\n  - added left-pad 1\.3\.0"
        assert re.search(line, second), second
    assert re.search(r"Commits that staging gets:\n\n- \w+ Greet more people \(Test\)\n", second)
    assert f"Built from {promotion.commits[2]}" in second
    assert "Scan of today: orders: nothing stops it (linux/amd64, linux/arm64)." in second


@pytest.mark.long
def test_an_image_that_is_not_signed_is_not_promoted(promotion: Promotion) -> None:
    delivery = promotion.delivery
    layout = layouts.variant(delivery.layout, delivery.home / "unsigned", {"app/x": "x"})
    digest = layouts.digest_of(layout)
    delivery.crane("push", str(layout), f"{delivery.image}:unsigned")
    plan = json.dumps([{"service": "orders", "digest": digest}])
    home = delivery.home / "unsigned-evidence"
    arguments = ("dev", plan, home / "layouts", home / "evidence", "--key", delivery.key)
    result, _ = delivery.checkout.script("collect-evidence.js", *arguments, check=False)
    assert result.returncode == 1 and "has no valid signature" in result.stderr


@pytest.mark.long
def test_an_image_that_says_another_commit_is_not_promoted(promotion: Promotion) -> None:
    delivery = promotion.delivery
    label = {"org.opencontainers.image.revision": "0" * 12}
    layout = layouts.variant(delivery.layout, delivery.home / "mislabeled", {"app/y": "y"}, label)
    digest = layouts.digest_of(layout)
    delivery.publish(layout, digest)
    checkout = delivery.checkout
    checkout.git("fetch", "--quiet", "origin")
    checkout.git("checkout", "--quiet", "--detach", "origin/main")
    source = checkout.main()
    checkout.script("deploy.js", source, json.dumps([{"service": "orders", "digest": digest}]))
    plan = json.dumps([{"service": "orders", "digest": digest}])
    home = delivery.home / "mislabeled-evidence"
    arguments = ("dev", plan, home / "layouts", home / "evidence", "--key", delivery.key)
    result, _ = checkout.script("collect-evidence.js", *arguments, check=False)
    assert result.returncode == 1
    assert f"was built from {'0' * 12}; git says" in result.stderr


# ------------------------------------------------------------------------------ the scanner


@dataclass
class Scan:
    """What scan.js said of an image."""

    code: int
    output: str
    folder: Path

    def sarif(self, platform: str) -> dict[str, Any]:
        [found] = json.loads((self.folder / f"{platform}.sarif").read_text("utf-8"))["runs"]
        run_: dict[str, Any] = found
        return run_


@pytest.fixture
def scan(built: tuple[Checkout, str, Path], tmp_path: Path) -> Callable[..., Scan]:
    """Return a function that adds files to the image and scans it, with waivers."""
    checkout, _, prebuilt = built

    def scan_image(files: Mapping[str, str], waivers: str = "", **environment: str) -> Scan:
        layout = layouts.variant(prebuilt, tmp_path / "image", files)
        waiver_file = checkout.path / ".trivyignore.yaml"
        before = waiver_file.read_text(encoding="utf-8")
        folder = tmp_path / "report"
        try:
            if waivers:
                waiver_file.write_text(waivers, encoding="utf-8")
            result, _ = checkout.script(
                "scan.js", layout, folder, "--name", "orders", check=False, **environment
            )
        finally:
            waiver_file.write_text(before, encoding="utf-8")
        return Scan(result.returncode, result.stdout + result.stderr, folder)

    return scan_image


@pytest.mark.long
def test_a_known_bad_package_stops_the_image_on_every_platform(scan: Callable[..., Scan]) -> None:
    result = scan(BAD_PACKAGE)
    assert result.code == 1, result.output
    row = (
        f"| HIGH | {KNOWN_BAD.identifier} | lodash 4.17.20 | update to 4.17.21 "
        "| linux/amd64, linux/arm64 |"
    )
    assert row in (result.folder / "summary.md").read_text(encoding="utf-8")
    for other in ADVISORIES[1:]:
        assert other.identifier not in result.output, "it stops what it should not"
    # For code scanning, although the gate has failed, and each platform apart.
    runs = [result.sarif(f"linux-{name}") for name in ("amd64", "arm64")]
    for entry in runs:
        assert [found["ruleId"] for found in entry["results"]] == [KNOWN_BAD.identifier]
    assert len({entry["automationDetails"]["id"] for entry in runs}) == 2
    sbom = json.loads((result.folder / "linux-arm64.cdx.json").read_text(encoding="utf-8"))
    assert {"name": "lodash", "version": "4.17.20"}.items() <= next(
        component for component in sbom["components"] if component["name"] == "lodash"
    ).items()


@pytest.mark.long
@pytest.mark.parametrize(("days", "code"), [(1, 0), (0, 1), (-1, 1)], ids=["tomorrow", "today", "yesterday"])  # fmt: skip
def test_a_waiver_lifts_it_until_its_day_and_no_longer(
    scan: Callable[..., Scan], days: int, code: int
) -> None:
    day = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=days)
    waivers = (
        f"vulnerabilities:\n  - id: {KNOWN_BAD.identifier}\n    statement: Not reached\n"
        f'    owner: "@acme/shop"\n    expired_at: {day}\n'
    )
    assert scan(BAD_PACKAGE, waivers).code == code


@pytest.mark.long
def test_a_secret_stops_the_image(scan: Callable[..., Scan]) -> None:
    # Made here, so that this file holds none.
    token = "ghp_" + "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=36))  # noqa: S311
    result = scan({"app/src/settings.json": json.dumps({"token": token})})
    assert result.code == 1, result.output
    assert "| CRITICAL | github-pat |" in result.output
    assert token not in (result.folder / "summary.md").read_text(encoding="utf-8")


@pytest.mark.long
def test_an_image_that_cannot_be_scanned_is_no_clean_one(
    scan: Callable[..., Scan], tmp_path: Path
) -> None:
    result = scan({}, TRIVY_CACHE_DIR=str(tmp_path / "nothing"))
    assert result.code == 2, result.output


@pytest.mark.long
def test_the_image_against_the_real_database(scan: Callable[..., Scan], tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    result = scan({}, TRIVY_CACHE_DIR=cache, TRIVY_SKIP_DB_UPDATE="false")
    if result.code == 2 and "failed to download vulnerability DB" in result.output:
        # Not a matter of installing something, so not even CI can insist on it.
        pytest.skip("not checked: this network reaches none of the mirrors of Trivy's database")
    assert result.code == 0, result.output
