"""Third-party Helm charts at the versions that the generated deploy/platform pins, unpacked.

A chart is taken from the folder that the environment variable SLIPWAY_CHARTS names, if that has it:
NAME/Chart.yaml, with the charts that it depends on in NAME/charts/. So charts can be judged on a
machine that reaches no chart repository. Otherwise helm pulls it, once, into the cache folder.
Kyverno's also comes with the Go module that its command line is built from.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import yaml

from tools import fetch

FOLDER = "SLIPWAY_CHARTS"


def checked(folder: Path, version: str) -> Path:
    """Return the folder of an unpacked chart if it is of a version.

    Raises:
        FetchError: there is no chart, or another version.
    """
    try:
        meta = yaml.safe_load((folder / "Chart.yaml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise fetch.FetchError(f"{folder} holds no Chart.yaml") from None
    if str(meta["version"]) != version:
        raise fetch.FetchError(f"{folder} holds version {meta['version']}")
    return folder


def given(name: str, version: str) -> Path:
    """Return a chart of the folder that SLIPWAY_CHARTS names.

    Raises:
        FetchError: it is not there.
    """
    folder = os.environ.get(FOLDER)
    if not folder:
        raise fetch.FetchError("names no folder")
    return checked(Path(folder, name), version)


def pulled(name: str, version: str, repository: str) -> Path:
    """Return a chart of a chart repository, from the cache if it was pulled before.

    Raises:
        FetchError: the repository can't be reached, or has no such version.
    """
    home = fetch.CACHE / f"chart-{name}-{version}"
    with fetch.locked(home):
        if not home.is_dir():
            with tempfile.TemporaryDirectory(dir=fetch.CACHE, prefix=f".{name}-") as scratch:
                places = {f"HELM_{key}_HOME": scratch for key in ("CACHE", "CONFIG", "DATA")}
                unpacked = Path(scratch, "unpacked")
                result = subprocess.run(
                    [
                        *(fetch.program("helm"), "pull", name, f"--repo={repository}"),
                        *(f"--version={version}", "--untar", f"--untardir={unpacked}"),
                    ],
                    env={**os.environ, **places},
                    capture_output=True,
                    text=True,
                    timeout=300,
                    check=False,
                )
                if result.returncode != 0:
                    raise fetch.FetchError(f"helm pull: {result.stderr.strip()}")
                checked(unpacked / name, version)
                unpacked.rename(home)
    return home / name


def of_kyvernos_module(version: str) -> Path:
    """Return Kyverno's chart as its Go module has it.

    That lacks the charts of other modules that it depends on: definitions of kinds, no pods.

    Raises:
        FetchError: the module can't be had, or holds another version of the chart.
    """
    tool = fetch.TOOLS["kyverno"]
    assert isinstance(tool.source, fetch.GoModule)
    module = tool.source.module
    source = fetch.go_module(module, tool.source.version(tool.version), f"getting {module}")
    chart = checked(source / "charts/kyverno", version)
    home = fetch.CACHE / f"chart-kyverno-{version}-module"
    with fetch.locked(home):
        if not home.is_dir():
            with tempfile.TemporaryDirectory(dir=fetch.CACHE, prefix=".kyverno-") as scratch:
                copy = Path(scratch, "kyverno")
                # Go's module cache is read-only, and its permissions would come along.
                shutil.copytree(chart, copy, copy_function=shutil.copyfile)
                for folder in (copy, *(path for path in copy.rglob("*") if path.is_dir())):
                    folder.chmod(0o755)
                file = copy / "Chart.yaml"
                meta = yaml.safe_load(file.read_text(encoding="utf-8"))
                meta["dependencies"] = [
                    entry
                    for entry in meta["dependencies"]
                    if (copy / "charts" / entry["name"]).is_dir()
                ]
                file.write_text(yaml.safe_dump(meta), encoding="utf-8")
                (copy / "Chart.lock").unlink()
                copy.rename(home)
    return home


def chart(name: str, version: str, repository: str) -> Path:
    """Return the folder of an unpacked chart, with the charts that it depends on.

    Raises:
        FetchError: it could not be had; the message says where it was sought.
    """
    sources = {
        FOLDER: partial(given, name, version),
        repository: partial(pulled, name, version, repository),
    }
    if name == "kyverno":
        sources["its Go module"] = partial(of_kyvernos_module, version)
    tried = []
    for place, source in sources.items():
        try:
            return source()
        except fetch.FetchError as error:
            tried.append(f"{place}: {error}")
    raise fetch.FetchError(f"the chart {name} {version} could not be had: {'; '.join(tried)}")
