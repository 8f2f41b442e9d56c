"""The image of the generated service: what is in it, what is not, and that it runs."""

from __future__ import annotations

import json
import queue
import re
import shlex
import shutil
import signal
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import Bake, Tools
from services.image import Engine, Entry, Image, find_engine

# One worker does them all: the image is built twice for all of them together.
pytestmark = [pytest.mark.image, pytest.mark.xdist_group("image")]

SERVICE = Path("services", "orders")
APP = "app"
VERSION = "7.8.9-image.test"
REVISION = "0123456789abcdef0123456789abcdef01234567"

# What a Dockerfile's quoting can get wrong, and a backslash at the end.
NASTY = r"""A "quoted" 'one' \ \\ \n $HOME ${HOME} ${{ x }} $$ `id` # café 😀 %s <&> = \" "\\"""

SHELLS_AND_INSTALLERS = {
    *("sh", "bash", "dash", "ash", "busybox", "env"),
    *("npm", "npx", "corepack", "yarn", "pnpm", "apt", "apt-get", "dpkg", "apk", "pip"),
}

# Tries to make a file in each folder and to open each file for writing; prints where it could.
TRY_TO_WRITE = """
const fs = require('node:fs');
const done = [];
let tried = 0;
const attempt = (what, action) => { tried++; try { action(); done.push(what); } catch {} };
const walk = (folder) => {
  attempt(folder, () => fs.writeFileSync(folder + '/slipway-was-here', ''));
  attempt('mode of ' + folder, () => fs.chmodSync(folder, 0o777));
  let entries = [];
  try { entries = fs.readdirSync(folder, { withFileTypes: true }); } catch {}
  for (const entry of entries) {
    const path = (folder === '/' ? '' : folder) + '/' + entry.name;
    if (['/proc', '/sys', '/dev'].includes(path)) continue;
    if (entry.isDirectory()) walk(path);
    else if (entry.isFile()) attempt(path, () => fs.closeSync(fs.openSync(path, 'a')));
  }
};
walk(process.argv[1]);
console.log(JSON.stringify({ tried, done }));
"""


@pytest.fixture(scope="module")
def engine(tools: Tools) -> Iterator[Engine]:
    """What builds images here."""
    with tempfile.TemporaryDirectory(prefix="slipway-image-") as scratch:
        found = find_engine(Path(scratch), tools.path("node"))
        yield found
        found.close()


@pytest.fixture(scope="module")
def image(engine: Engine, default_repo: Path) -> Image:
    """The image of the default repository, with a version and a revision."""
    context = default_repo / SERVICE
    return engine.build(context, SERVICE_VERSION=VERSION, SERVICE_REVISION=REVISION)


@pytest.fixture(scope="module")
def nasty_repo(bake: Bake) -> Path:
    """A repository with a description that is hard to quote, and other answers that labels show."""
    return bake(description=NASTY, license="proprietary", github_owner="Acme-Labs")


@pytest.fixture(scope="module")
def nasty_image(
    engine: Engine, nasty_repo: Path, tmp_path_factory: pytest.TempPathFactory
) -> Image:
    """The image of that repository, checked out under a strict umask, built without a version."""
    context = tmp_path_factory.mktemp("strict") / "service"
    shutil.copytree(nasty_repo / SERVICE, context)
    for path in (context, *context.rglob("*")):
        path.chmod(path.stat().st_mode & 0o700)
    return engine.build(context)


def labels(image: Image) -> dict[str, str]:
    """Return the labels that the OCI image specification names, without their prefix."""
    prefix = "org.opencontainers.image."
    return {
        name.removeprefix(prefix): value
        for name, value in image.config["Labels"].items()
        if name.startswith(prefix)
    }


def app_files(image: Image) -> dict[str, Entry]:
    """Return what is below the application's folder, by path relative to it."""
    prefix = f"{APP}/"
    return {p.removeprefix(prefix): e for p, e in image.files.items() if p.startswith(prefix)}


def test_size_of_what_is_added(
    image: Image, nasty_image: Image, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = image.folders(APP)
    total = sum(sizes.values())
    parts = ", ".join(f"{name} {size / 1e6:.2f} MB" for name, size in sorted(sizes.items()))
    with capsys.disabled():
        print(
            f"\n[image] {engine.name} built it in {image.seconds:.1f} s and "
            f"{nasty_image.seconds:.1f} s; on top of the base: {total / 1e6:.2f} MB in "
            f"{len(image.layers)} layer(s) ({parts})",
            file=sys.__stderr__,
        )
    assert total < 60e6, f"the image adds {total / 1e6:.0f} MB to its base: {parts}"


# ------------------------------------------------------------------------------ configuration


def test_user_is_a_number_other_than_root(image: Image) -> None:
    assert image.config["User"] == "65532:65532"


def test_entrypoint_is_npm_start_without_a_shell(image: Image, default_repo: Path) -> None:
    package = json.loads((default_repo / SERVICE / "package.json").read_text(encoding="utf-8"))
    program, *arguments = shlex.split(package["scripts"]["start"])
    assert program == "node"
    assert image.config["Entrypoint"] == ["/nodejs/bin/node", *arguments], (
        "the image must start what `npm start` starts, in exec form: a shell would keep SIGTERM"
    )
    assert not image.config.get("Cmd"), "node would get this as further arguments"
    assert image.config["WorkingDir"] == f"/{APP}"
    assert f"{APP}/{arguments[-1]}" in image.files, f"the image lacks {arguments[-1]}"


def test_environment(image: Image) -> None:
    environment = image.environment
    environment.pop("PATH")
    environment.pop("SSL_CERT_FILE")  # the base's
    assert environment == {
        "NODE_ENV": "production",
        "SERVICE_VERSION": VERSION,
        "SERVICE_REVISION": REVISION,
    }


def test_labels(image: Image) -> None:
    assert labels(image) == {
        "title": "orders",
        "description": "Takes orders for the Acme shop",
        "source": "https://github.com/acme/acme-shop",
        "licenses": "Apache-2.0",
        "version": VERSION,
        "revision": REVISION,
    }


def test_labels_hold_any_description_and_version_has_a_default(nasty_image: Image) -> None:
    assert labels(nasty_image) == {
        "title": "orders",
        "description": NASTY,
        "source": "https://github.com/Acme-Labs/acme-shop",
        "licenses": "LicenseRef-Proprietary",
        "version": "0.0.0-local",
        "revision": "unknown",
    }
    # The service refuses an empty one.
    assert nasty_image.environment["SERVICE_VERSION"] == "0.0.0-local"
    assert nasty_image.environment["SERVICE_REVISION"] == "unknown"


# ------------------------------------------------------------------------------------- content


def test_only_the_app_folder_is_added(image: Image) -> None:
    outside = [p for p in image.files if p and p != APP and not p.startswith(f"{APP}/")]
    assert outside == [], "the Dockerfile's last stage adds something outside of /app"


def test_app_holds_what_it_needs_to_run_and_nothing_else(image: Image, default_repo: Path) -> None:
    names = set(image.folders(APP))
    assert sorted(names - {"node_modules", "package.json", "src"}) == [], "needless in the image"
    assert sorted({"node_modules", "package.json", "src"} - names) == [], "missing in the image"
    source = default_repo / SERVICE / "src"
    expected = {f"src/{path.relative_to(source)}" for path in source.rglob("*") if path.is_file()}
    files = app_files(image)
    actual = {p for p, entry in files.items() if p.startswith("src/") and entry.kind != "folder"}
    assert sorted(actual - expected) == [], "not from the repository's src"
    assert sorted(expected - actual) == [], "missing in the image's src"


def test_node_modules_are_the_locked_ones_without_dev_dependencies(
    image: Image, default_repo: Path
) -> None:
    text = (default_repo / SERVICE / "package-lock.json").read_text(encoding="utf-8")
    locked: dict[str, dict[str, Any]] = json.loads(text)["packages"]
    locked.pop("")
    package = r"node_modules/(?:@[^/]+/)?[^/@.][^/]*"
    found = {
        match[1]
        for path in app_files(image)
        if (match := re.fullmatch(rf"({package}(?:/{package})*)/package\.json", path))
    }
    dev = sorted(name for name in found if locked.get(name, {}).get("dev"))
    assert dev == [], "dependencies of development are in the image"
    assert sorted(found - locked.keys()) == [], "packages that package-lock.json does not name"
    needed = {name for name, of in locked.items() if not (of.get("dev") or of.get("optional"))}
    assert sorted(needed - found) == [], "packages that the service needs are missing"


def test_files_belong_to_root_and_only_root_can_write(image: Image) -> None:
    entries = image.files
    assert APP in entries
    foreign = [path for path, entry in entries.items() if (entry.owner, entry.group) != (0, 0)]
    assert foreign == [], "not owned by root: the service could change these"
    writable = [path for path, entry in entries.items() if entry.writable_by_others]
    assert writable == [], "writable by others than root"
    special = [path for path, entry in entries.items() if entry.mode & 0o7000]
    assert special == [], "setuid, setgid or sticky"


def test_everybody_can_read_every_file_whatever_the_umask(nasty_image: Image) -> None:
    unreadable = [
        path
        for path, entry in nasty_image.files.items()
        if entry.kind != "link"
        and entry.mode & (need := 0o555 if entry.kind == "folder" else 0o444) != need
    ]
    assert unreadable == [], "the service's user could not read these"


def test_no_shell_and_no_installer_is_added(image: Image) -> None:
    found = [
        path
        for path, entry in image.files.items()
        if Path(path).name in SHELLS_AND_INSTALLERS
        and (entry.kind == "link" or (entry.kind == "file" and entry.mode & 0o111))
    ]
    installers = [p for p in image.files if re.search(r"node_modules/(npm|corepack)$", p)]
    assert found + installers == []


def test_second_build_gives_the_same_files(
    image: Image, nasty_image: Image, default_repo: Path, nasty_repo: Path, engine: Engine
) -> None:
    """The two images differ where their repositories do, and nowhere else.

    Times count only with buildah: BuildKit changes those inside of layers when it exports an image
    with `rewrite-timestamp=true`, which the engine's own store cannot do.
    """
    sources = (default_repo / SERVICE, nasty_repo / SERVICE)

    def view(image: Image) -> dict[str, tuple[object, ...]]:
        return {
            path: (e.kind, e.mode, e.link, e.sha256, e.modified * (engine.name == "buildah"))
            for path, e in app_files(image).items()
            if not all((folder / path).is_file() for folder in sources)
            or (sources[0] / path).read_bytes() == (sources[1] / path).read_bytes()
        }

    first, second = view(image), view(nasty_image)
    different = {p for p in first.keys() | second.keys() if first.get(p) != second.get(p)}
    assert sorted(different) == []
    assert len(first) > 100, "too few files were compared"


# ---------------------------------------------------------------------------- the build context


def test_the_builder_sees_only_what_it_needs(
    engine: Engine, default_repo: Path, tmp_path: Path
) -> None:
    """Ask the builder itself what .dockerignore lets through, in a service that was worked on."""
    context = tmp_path / "service"
    shutil.copytree(default_repo / SERVICE, context)
    planted = [".env", ".env.local", ".git/config", "node_modules/planted/index.js", "id_rsa"]
    planted += ["coverage/lcov.info", "npm-debug.log", "test/planted.test.ts", "dist/main.js"]
    for name in planted:
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_text("secret\n", encoding="utf-8")
    probe = tmp_path / "Dockerfile.probe"
    probe.write_text("FROM scratch\nCOPY . /context/\n", encoding="utf-8")
    sent = engine.build(context, dockerfile=probe).files
    files = {p.removeprefix("context/") for p, entry in sent.items() if entry.kind == "file"}
    source = context / "src"
    expected = {".npmrc", "package.json", "package-lock.json"} | {
        f"src/{path.relative_to(source)}" for path in source.rglob("*") if path.is_file()
    }
    assert sorted(files - expected) == [], ".dockerignore lets these through"
    assert sorted(expected - files) == [], ".dockerignore keeps these back"


# ------------------------------------------------------------------------------------- running


def listening(lines: queue.Queue[str], names: set[str], seconds: float = 30) -> dict[str, int]:
    """Wait for the log lines of the named listeners, and return their ports."""
    ports: dict[str, int] = {}
    seen: list[str] = []
    deadline = time.monotonic() + seconds
    while names - ports.keys():
        try:
            line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            pytest.fail(f"no listener {names - ports.keys()} in {seconds} s; log:\n{''.join(seen)}")
        seen.append(line)
        if line == "":
            pytest.fail(f"the service ended before it listened; log:\n{''.join(seen)}")
        record = json.loads(line) if line.startswith("{") else {}
        if record.get("msg") == "listening":
            ports[record["listener"]] = record["port"]
    return ports


def get(port: int, path: str) -> tuple[int, str]:
    """Return the status and the body of a request to this machine."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
        return response.status, response.read().decode()


def environment(**more: str) -> Mapping[str, str]:
    """Return what a deployment sets: ports that are free, and no waiting for a load balancer."""
    return {
        "ENVIRONMENT": "local",
        "HOST": "127.0.0.1",
        "HTTP_PORT": "0",
        "METRICS_PORT": "0",
        "SHUTDOWN_DRAIN_MS": "100",
        **more,
    }


def test_it_serves_on_a_read_only_file_system_and_ends_on_sigterm(
    engine: Engine, image: Image
) -> None:
    with engine.start(image, environment=environment()) as container:
        process = container.process
        output = process.stdout
        assert output is not None
        lines: queue.Queue[str] = queue.Queue()

        def read() -> None:
            for line in output:
                lines.put(line)
            lines.put("")

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        ports = listening(lines, {"http", "metrics"})

        assert get(ports["http"], "/readyz")[0] == 200
        status, metrics = get(ports["metrics"], "/metrics")
        assert status == 200
        [info] = re.findall(r"^.*build_info\{.*\} 1$", metrics, re.MULTILINE)
        assert f'version="{VERSION}"' in info
        assert f'revision="{REVISION}"' in info

        state = container.status()
        assert container.command_line() == image.config["Entrypoint"]
        assert state["NSpid"][-1] == "1", "node is not process 1 of its container"
        assert state["Uid"] == ["65532"] * 4
        assert state["Gid"] == ["65532"] * 4
        assert state["Groups"] in ([], ["65532"])
        assert int(state["CapEff"][0], 16) == 0
        assert state["NoNewPrivs"] == ["1"]

        engine.signal(container, signal.SIGTERM)
        reader.join(timeout=20)
        log = "".join(list(lines.queue))
        assert not reader.is_alive(), f"SIGTERM did not end it within 20 s; log:\n{log}"
        assert process.wait(timeout=10) == 0, f"SIGTERM must end it with 0; log:\n{log}"


@pytest.mark.parametrize(
    ("read_only", "folder"), [(True, "/"), (False, f"/{APP}")], ids=["read-only-root", "app-folder"]
)
def test_it_cannot_write(engine: Engine, image: Image, read_only: bool, folder: str) -> None:
    """Not anywhere on a read-only root, and not in its own folder on a writable one."""
    arguments = ["--eval", TRY_TO_WRITE, folder]
    with engine.start(image, environment={}, arguments=arguments, read_only=read_only) as container:
        output, _ = container.process.communicate(timeout=60)
        assert container.process.returncode == 0, output
    result = json.loads(output)
    assert result["done"] == [], "it could write there"
    assert result["tried"] > 100, "too few places were tried"
