"""Builds the image of a generated service from its unchanged Dockerfile, and runs it.

A Docker engine is used when one answers: it pulls the bases that the Dockerfile names. Otherwise
buildah builds, without a daemon, on stand-ins for these bases that are made here: the pinned
Node.js and the few files of this machine that it needs. `--build-context` puts them in the place
of the pinned names, which no local image can have, as a digest is a checksum of the content.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import require

# Any fixed moment does: with it, two builds of the same files give the same bytes.
EPOCH = 1_700_000_000

# What a RUN instruction may reasonably use; Debian's slim image has much more.
BUILDER_COMMANDS = (
    *("sh", "cat", "chmod", "chown", "cp", "env", "find", "id"),
    *("ln", "ls", "mkdir", "mv", "rm", "sed", "touch", "true"),
)
CA_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# How this machine reaches the package registry, when it has to go a way of its own.
NETWORK_VARIABLES = re.compile(r"(https?|no|all)_proxy|npm_config_registry", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """A file, folder or link in a layer."""

    kind: str
    mode: int
    owner: int
    group: int
    size: int
    modified: int
    link: str
    sha256: str

    @property
    def writable_by_others(self) -> bool:
        """Whether others than the owner may write to it; links have no mode of their own."""
        return self.kind != "link" and bool(self.mode & 0o022)


@dataclass(frozen=True)
class Image:
    """A built image: its configuration, and what the Dockerfile put on top of the base."""

    reference: str
    config: Mapping[str, Any]
    layers: tuple[Mapping[str, Entry], ...]
    seconds: float

    @property
    def files(self) -> dict[str, Entry]:
        """Everything that the layers add, by path without a leading slash."""
        return {path: entry for layer in self.layers for path, entry in layer.items()}

    @property
    def environment(self) -> dict[str, str]:
        """The environment that the image sets."""
        return dict(line.split("=", 1) for line in self.config["Env"])

    def folders(self, folder: str) -> dict[str, int]:
        """Return the names directly below a folder, each with the bytes that it holds."""
        sizes: dict[str, int] = {}
        for path, entry in self.files.items():
            if path.startswith(f"{folder}/"):
                name = path.removeprefix(f"{folder}/").split("/")[0]
                sizes[name] = sizes.get(name, 0) + entry.size
        return sizes


@dataclass(frozen=True)
class Container:
    """A process that was started from an image."""

    process: subprocess.Popen[str]
    pid: int

    def status(self) -> dict[str, list[str]]:
        """Return what the kernel says about the process, as in /proc/PID/status."""
        lines = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines()
        return {name: value.split() for name, value in (line.split(":", 1) for line in lines)}

    def command_line(self) -> list[str]:
        """Return the program that runs, and its arguments."""
        raw = Path(f"/proc/{self.pid}/cmdline").read_bytes().decode()
        return raw.rstrip("\0").split("\0")


def command(
    *arguments: str | Path,
    environment: Mapping[str, str] | None = None,
    timeout: float = 300,
) -> str:
    """Run a command and return its output; when it fails, so does the test, with the output."""
    result = subprocess.run(
        arguments,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if result.returncode != 0:
        shown = " ".join(str(argument) for argument in arguments)
        output = result.stdout + result.stderr
        if len(output) > 5000:  # npm puts the cause first and its manual after it
            output = f"{output[:3500]}\n[...]\n{output[-1500:]}"
        pytest.fail(f"{shown}\nexited with {result.returncode}\n{output}")
    return result.stdout


def bases(dockerfile: Path) -> list[str]:
    """Return the images that a Dockerfile starts from, in its order."""
    text = dockerfile.read_text(encoding="utf-8")
    return re.findall(r"^FROM (?:--\S+ )*(\S+)", text, re.MULTILINE)


def read_layer(stream: tarfile.TarFile) -> dict[str, Entry]:
    """Return what one layer adds."""
    entries: dict[str, Entry] = {}
    for member in stream:
        path = member.name.removeprefix("./").strip("/")
        assert not Path(path).name.startswith(".wh."), f"a layer deletes {path} of the one below"
        kind = "link" if member.issym() else "folder" if member.isdir() else "file"
        content = stream.extractfile(member) if member.isreg() else None
        entries[path] = Entry(
            kind=kind,
            mode=member.mode,
            owner=member.uid,
            group=member.gid,
            size=member.size,
            modified=int(member.mtime),
            link=member.linkname,
            sha256=hashlib.sha256(content.read()).hexdigest() if content else "",
        )
    return entries


def read_archive(archive: Path, base_layers: Sequence[str]) -> tuple[dict[str, Any], list[Any]]:
    """Return the configuration and the own layers of an image in `docker save`'s format.

    Args:
        archive: the tar file.
        base_layers: checksums of the layers that belong to the base.
    """
    with tarfile.open(archive) as outer:

        def member(name: str) -> Any:  # noqa: ANN401 - typeshed's type for this is private
            stream = outer.extractfile(name)
            assert stream is not None, f"{archive} lacks {name}"
            return stream

        [manifest] = json.load(member("manifest.json"))
        image = json.load(member(manifest["Config"]))
        checksums = image["rootfs"]["diff_ids"]
        assert checksums[: len(base_layers)] == list(base_layers), (
            "the image does not begin with the layers of the last FROM"
        )
        layers = []
        for name in manifest["Layers"][len(base_layers) :]:
            with tarfile.open(fileobj=member(name)) as layer:
                layers.append(read_layer(layer))
    return image["config"], layers


class Engine(ABC):
    """A program that builds images and starts them."""

    name: str

    def __init__(self, scratch: Path) -> None:
        """Remember a folder that is deleted afterwards."""
        self.scratch = scratch

    def build(self, context: Path, *, dockerfile: Path | None = None, **arguments: str) -> Image:
        """Build an image.

        Args:
            context: the folder that the Dockerfile copies from.
            dockerfile: another Dockerfile than the one in the context.
            arguments: build arguments.
        """
        dockerfile = dockerfile or context / "Dockerfile"
        reference = f"localhost/slipway-test:{uuid.uuid4().hex}"
        options = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        started = time.monotonic()
        self._build(reference, context, dockerfile, options)
        seconds = time.monotonic() - started
        archive = self.scratch / "image.tar"
        self._save(reference, archive)
        config, layers = read_archive(archive, self._layers_of(bases(dockerfile)[-1]))
        archive.unlink()
        return Image(reference, config, tuple(layers), seconds)

    @contextlib.contextmanager
    def start(
        self,
        image: Image,
        *,
        environment: Mapping[str, str],
        arguments: Sequence[str] = (),
        read_only: bool = True,
    ) -> Iterator[Container]:
        """Start a container as Kubernetes would, and end it after the `with` block.

        Args:
            image: what to start.
            environment: variables to add to those of the image.
            arguments: arguments for node in the place of the image's own.
            read_only: whether the root file system is mounted read-only.
        """
        process = self._start(image, environment, arguments, read_only)
        try:
            yield Container(process, self._pid(process))
        finally:
            self._end(process)
            process.kill()
            process.communicate(timeout=20)

    @abstractmethod
    def signal(self, container: Container, number: signal.Signals) -> None:
        """Send a signal to process 1 of a container."""

    @abstractmethod
    def _build(
        self, reference: str, context: Path, dockerfile: Path, options: Sequence[str]
    ) -> None: ...

    @abstractmethod
    def _save(self, reference: str, archive: Path) -> None: ...

    @abstractmethod
    def _layers_of(self, base: str) -> list[str]: ...

    @abstractmethod
    def _start(
        self,
        image: Image,
        environment: Mapping[str, str],
        arguments: Sequence[str],
        read_only: bool,
    ) -> subprocess.Popen[str]: ...

    @abstractmethod
    def _pid(self, process: subprocess.Popen[str]) -> int: ...

    @abstractmethod
    def _end(self, process: subprocess.Popen[str]) -> None: ...

    @abstractmethod
    def close(self) -> None:
        """Delete what was built."""


class Docker(Engine):
    """A Docker engine, with the real bases."""

    name = "docker"

    def __init__(self, scratch: Path) -> None:
        """Begin with nothing built."""
        super().__init__(scratch)
        self.images: list[str] = []
        self.containers: dict[int, str] = {}

    def _build(
        self, reference: str, context: Path, dockerfile: Path, options: Sequence[str]
    ) -> None:
        command(
            *("docker", "build", "--progress=plain", f"--tag={reference}", f"--file={dockerfile}"),
            *options,
            context,
            environment={
                "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
                "DOCKER_BUILDKIT": "1",
                "SOURCE_DATE_EPOCH": str(EPOCH),
            },
        )
        self.images.append(reference)

    def _save(self, reference: str, archive: Path) -> None:
        command("docker", "save", f"--output={archive}", reference)

    def _layers_of(self, base: str) -> list[str]:
        if base == "scratch":
            return []
        command("docker", "pull", "--quiet", base)
        form = "--format={{json .RootFS.Layers}}"
        layers: list[str] = json.loads(command("docker", "image", "inspect", form, base))
        return layers

    def _start(
        self,
        image: Image,
        environment: Mapping[str, str],
        arguments: Sequence[str],
        read_only: bool,
    ) -> subprocess.Popen[str]:
        require(
            sys.platform == "linux",
            "the image as it runs (its ports are on the network of Docker's virtual machine)",
            "Run this on Linux",
        )
        name = f"slipway-test-{uuid.uuid4().hex}"
        options = [f"--env={key}={value}" for key, value in environment.items()]
        if arguments:
            options.append(f"--entrypoint={image.config['Entrypoint'][0]}")
        process = subprocess.Popen(
            ["docker", "run", "--rm", "--pull=never", f"--name={name}", "--network=host"]
            + ["--cap-drop=ALL", "--security-opt=no-new-privileges", *options]
            + [f"--read-only={str(read_only).lower()}", image.reference, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.containers[process.pid] = name
        return process

    def _pid(self, process: subprocess.Popen[str]) -> int:
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            found = subprocess.run(
                ["docker", "inspect", "--format={{.State.Pid}}", self.containers[process.pid]],
                capture_output=True,
                text=True,
                check=False,
            )
            if found.returncode == 0 and int(found.stdout) > 0:
                return int(found.stdout)
            time.sleep(0.05)
        return 0

    def signal(self, container: Container, number: signal.Signals) -> None:
        """Send a signal to process 1 of a container."""
        name = self.containers[container.process.pid]
        command("docker", "kill", f"--signal={number.name}", name)

    def _end(self, process: subprocess.Popen[str]) -> None:
        name = self.containers.pop(process.pid)
        subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)

    def close(self) -> None:
        """Delete the images; the bases stay, as a cache."""
        if self.images:
            command("docker", "image", "rm", "--force", *self.images)


class Buildah(Engine):
    """buildah with `--isolation=chroot`, and namespaces of the kernel to run what it built."""

    name = "buildah"

    def __init__(self, scratch: Path, node: Path) -> None:
        """Make a storage of its own, and the two bases in it.

        Args:
            scratch: a folder that is deleted afterwards.
            node: the pinned Node.js, installed together with npm.
        """
        super().__init__(scratch)
        self.node = node.resolve()
        self.npm = self.node.parent.parent / "lib" / "node_modules" / "npm"
        require(
            self.npm.is_dir(),
            f"the image (no npm at {self.npm})",
            "Install Node.js from nodejs.org's archive, mise or PyPI, which bring npm along",
        )
        self.version = command(self.node, "--version").strip().removeprefix("v")
        self.options = [
            *(f"--root={scratch}/storage", f"--runroot={scratch}/run", "--storage-driver=vfs"),
        ]
        # buildah keeps cache mounts and downloads below TMPDIR.
        (scratch / "tmp").mkdir()
        self.variables = {"TMPDIR": str(scratch / "tmp")}
        self.stand_ins = {
            "node": self._builder(scratch / "builder"),
            "gcr.io/distroless/nodejs": self._runtime(scratch / "runtime"),
        }
        self.mounted: dict[str, Path] = {}

    def _buildah(self, *arguments: str | Path) -> str:
        return command("buildah", *self.options, *arguments, environment=self.variables).strip()

    def _commit(self, name: str, root: Path, *configuration: str) -> str:
        """Make an image of a folder, and return its name."""
        container = self._buildah("from", "scratch")
        self._buildah("add", "--quiet", container, root, "/")
        self._buildah("config", *configuration, container)
        self._buildah("commit", "--quiet", "--rm", "--disable-compression", container, name)
        shutil.rmtree(root)
        return name

    def _builder(self, root: Path) -> str:
        """Make what stands for `node:VERSION-bookworm-slim`: Node.js, npm and a few commands."""
        for name in ("bin", "lib", "lib64"):
            (root / "usr" / name).mkdir(parents=True)
            (root / name).symlink_to(f"usr/{name}")
        for name in ("root", "tmp", "etc", "proc", "sys", "dev", "run", "usr/local/bin"):
            (root / name).mkdir(parents=True)
        (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n", encoding="utf-8")
        for name in BUILDER_COMMANDS:
            program = shutil.which(name, path="/usr/bin:/bin")
            assert program is not None, f"this machine lacks the command {name}"
            copy_program(Path(program), root / "usr/bin" / name, root)
        copy_program(self.node, root / "usr/local/bin/node", root)
        shutil.copytree(self.npm, root / "usr/local/lib/node_modules/npm", symlinks=True)
        npm = root / "usr/local/bin/npm"
        npm.symlink_to("../lib/node_modules/npm/bin/npm-cli.js")
        (npm.resolve()).chmod(0o755)
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "NODE_VERSION": self.version}
        # A machine behind an intercepting proxy has that proxy's certificate among its own.
        if CA_CERTIFICATES.is_file():
            target = root / CA_CERTIFICATES.relative_to("/")
            target.parent.mkdir(parents=True)
            shutil.copyfile(CA_CERTIFICATES, target)
            environment["NODE_EXTRA_CA_CERTS"] = str(CA_CERTIFICATES)
        environment |= {k: v for k, v in os.environ.items() if NETWORK_VARIABLES.fullmatch(k)}
        settings = [f"--env={name}={value}" for name, value in environment.items()]
        return self._commit("localhost/builder", root, *settings)

    def _runtime(self, root: Path) -> str:
        """Make what stands for distroless: no more than node, its libraries and a user."""
        for name in ("etc/ssl/certs", "home/nonroot", "tmp", "proc", "sys", "dev", "nodejs/bin"):
            (root / name).mkdir(parents=True)
        (root / "etc/passwd").write_text(
            "root:x:0:0:root:/root:/sbin/nologin\n"
            "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
            encoding="utf-8",
        )
        (root / "tmp").chmod(0o1777)
        os.chown(root / "home/nonroot", 65532, 65532)
        if CA_CERTIFICATES.is_file():
            shutil.copyfile(CA_CERTIFICATES, root / CA_CERTIFICATES.relative_to("/"))
        copy_program(self.node, root / "nodejs/bin/node", root)
        return self._commit(
            "localhost/runtime",
            root,
            # As in the real one: a WORKDIR or RUN before our USER is this user's.
            *("--user=65532", "--workingdir=/home/nonroot", '--entrypoint=["/nodejs/bin/node"]'),
            f"--env=SSL_CERT_FILE={CA_CERTIFICATES}",
        )

    def _stand_in(self, base: str) -> str:
        """Return the local image for a base, which must be of the same Node.js."""
        major = self.version.split(".", maxsplit=1)[0]
        if re.match(rf"node:{re.escape(self.version)}-bookworm-slim@sha256:", base):
            return self.stand_ins["node"]
        if re.match(rf"gcr\.io/distroless/nodejs{major}-debian\d+:nonroot@sha256:", base):
            return self.stand_ins["gcr.io/distroless/nodejs"]
        pytest.fail(
            f"FROM {base}: nothing here can stand for it. Known: "
            f"node:{self.version}-bookworm-slim@sha256:... (mise.toml pins Node.js {self.version}) "
            f"and gcr.io/distroless/nodejs{major}-debianN:nonroot@sha256:..."
        )

    def _build(
        self, reference: str, context: Path, dockerfile: Path, options: Sequence[str]
    ) -> None:
        replaced = [
            f"--build-context={base}=container-image://{self._stand_in(base)}"
            for base in bases(dockerfile)
            if base != "scratch"
        ]
        self._buildah(
            *("build", "--isolation=chroot", "--format=docker", f"--timestamp={EPOCH}"),
            *(*replaced, *options, f"--tag={reference}", f"--file={dockerfile}"),
            context,
        )

    def layout(self, image: Image, target: Path, *others: str) -> None:
        """Put an image into an OCI layout as BuildKit does, with more platforms than this machine's.

        The others are copies with another architecture in their metadata: this machine has no base
        for them, and the Dockerfile runs nothing there that could differ.
        """
        index = f"localhost/slipway-test:{uuid.uuid4().hex}"
        self._buildah("manifest", "create", index)
        self._buildah("manifest", "add", index, image.reference)
        for architecture in others:
            container = self._buildah("from", "--pull-never", image.reference)
            self._buildah("config", f"--arch={architecture}", container)
            copy = f"localhost/slipway-test:{uuid.uuid4().hex}"
            options = ("--quiet", "--rm", "--format=docker", f"--timestamp={EPOCH}")
            self._buildah("commit", *options, container, copy)
            self._buildah("manifest", "add", f"--arch={architecture}", index, copy)
        push = ("push", "--quiet", "--all", "--format=oci")
        self._buildah("manifest", *push, index, f"oci:{target}")
        self._buildah("rmi", "--force", index)

    def _save(self, reference: str, archive: Path) -> None:
        self._buildah(
            "push", "--quiet", "--disable-compression", reference, f"docker-archive:{archive}"
        )

    def _layers_of(self, base: str) -> list[str]:
        if base == "scratch":
            return []
        inspected = self._buildah("inspect", "--type=image", self._stand_in(base))
        layers: list[str] = json.loads(inspected)["OCIv1"]["rootfs"]["diff_ids"]
        return layers

    def _start(
        self,
        image: Image,
        environment: Mapping[str, str],
        arguments: Sequence[str],
        read_only: bool,
    ) -> subprocess.Popen[str]:
        if image.reference not in self.mounted:
            container = self._buildah("from", "--pull-never", image.reference)
            self.mounted[image.reference] = Path(self._buildah("mount", container))
            for device in ("null", "urandom"):
                (self.mounted[image.reference] / "dev" / device).touch()
        root = self.mounted[image.reference]
        numbers = re.fullmatch(r"(\d+):(\d+)", image.config["User"])
        assert numbers, f"USER {image.config['User']!r} is not made of two numbers"
        user, group = numbers.groups()
        program = image.config["Entrypoint"]
        variables = [f"{k}={v}" for k, v in {**image.environment, **environment}.items()]
        # In namespaces of its own, node is process 1 and sees only its own files. The network is
        # the machine's.
        script = """
            root=$1 mode=$2; shift 2
            mount --bind "$root" "$root"
            mount -t proc -o nosuid,nodev,noexec,ro proc "$root/proc"
            for device in null urandom; do mount --bind "/dev/$device" "$root/dev/$device"; done
            mount -o "remount,bind,$mode,nosuid,nodev" "$root"
            exec "$@"
        """
        return subprocess.Popen(
            ["unshare", "--mount", "--propagation=private", "--pid", "--fork"]
            + ["sh", "-euc", script, "sh", root, "ro" if read_only else "rw"]
            + ["setpriv", "--no-new-privs", "env", "-i", *variables, "unshare", f"--root={root}"]
            + [f"--wd={image.config['WorkingDir']}", f"--setgid={group}", f"--setuid={user}"]
            + ([program[0], *arguments] if arguments else program),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _pid(self, process: subprocess.Popen[str]) -> int:
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            for pid in self._children(process):
                # unshare's child goes through several programs before it is the one to start.
                with contextlib.suppress(FileNotFoundError):
                    if Path(f"/proc/{pid}/root").readlink() != Path("/"):
                        return pid
            time.sleep(0.02)
        return 0

    def _children(self, process: subprocess.Popen[str]) -> list[int]:
        """Return what a process that has not been waited for has started."""
        if process.returncode is not None:
            return []
        path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        return [int(pid) for pid in path.read_text(encoding="utf-8").split()]

    def signal(self, container: Container, number: signal.Signals) -> None:
        """Send a signal to process 1 of a container."""
        os.kill(container.pid, number)

    def _end(self, process: subprocess.Popen[str]) -> None:
        # Not by `--kill-child`: the kernel forgets that wish when a process changes its user.
        # With process 1, the kernel ends all others of a namespace and removes its mounts.
        for pid in self._children(process):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """Delete the storage."""
        shutil.rmtree(self.scratch / "storage", ignore_errors=True)


def copy_program(program: Path, target: Path, root: Path) -> None:
    """Copy a program to target, and the libraries that it links to into the same places of root."""
    shutil.copy(program, target)
    listed = command("ldd", target)
    for library in {Path(found) for found in re.findall(r"(/\S+) \(0x", listed)}:
        place = root / library.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            shutil.copy(library, place)


def find_engine(scratch: Path, node: Path) -> Engine:
    """Return the engine of this machine; skip or fail the test when there is none."""
    if shutil.which("docker") and (
        subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
    ):
        return Docker(scratch)
    require(
        sys.platform == "linux" and shutil.which("buildah") is not None and os.geteuid() == 0,
        "the image (no Docker engine answers, and there is no buildah with root to do without)",
        "Start Docker; or, on Debian and Ubuntu as root: "
        "apt-get install --no-install-recommends buildah",
    )
    return Buildah(scratch, node)
