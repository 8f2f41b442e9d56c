"""Fixtures: generated repositories, one for each set of answers, and the pinned programs."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from _pytest.capture import CaptureManager
from filelock import FileLock
from pytest_cookies.plugin import Cookies
from support import ROOT, TEMPLATE, run

from tools import docs, fetch

# What our own make hands down, a generated repository's make would take for itself.
for handed_down in ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "ONLY"):
    os.environ.pop(handed_down, None)

Bake = Callable[..., Path]
Deployable = Callable[..., Path]


class Tools:
    """The programs of the generated mise.toml, at its versions."""

    def __init__(self, capture: CaptureManager) -> None:
        self._capture = capture

    def path(self, name: str) -> Path:
        """Return the path of one program, getting it first if need be."""
        with self._capture.global_and_fixture_disabled():
            return fetch.program(name)

    def folder(self, *names: str) -> Path:
        """Return a folder with links to the named programs, or to all everyday ones."""
        with self._capture.global_and_fixture_disabled():
            return fetch.commands(names or fetch.EVERYDAY)


@pytest.fixture(scope="session")
def tools(pytestconfig: pytest.Config) -> Tools:
    """The pinned programs."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    return Tools(capture)


@pytest.fixture(scope="session")
def bake(cookies_session: Cookies) -> Bake:
    """Return a function from answers to a generated repository that tests only read."""
    baked: dict[tuple[tuple[str, str], ...], Path] = {}

    def repository(**answers: str) -> Path:
        key = tuple(sorted(answers.items()))
        if key not in baked:
            result = cookies_session.bake(extra_context=answers, template=str(ROOT))
            assert result.exception is None, f"{answers}: {result.exception!r}"
            baked[key] = result.project_path
        return baked[key]

    return repository


@pytest.fixture(scope="session")
def default_repo(bake: Bake) -> Path:
    """A repository with the default answers; tests only read it."""
    return bake()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, tools: Tools) -> Path:
    """The documentation site, built strictly."""
    tools.folder("node")
    return docs.build(tmp_path_factory.mktemp("docs"))


@pytest.fixture
def own_repo(default_repo: Path, tmp_path: Path) -> Path:
    """A copy of the default repository that the test may change."""
    copy = tmp_path / default_repo.name
    shutil.copytree(default_repo, copy, symlinks=True)
    return copy


def between_workers(factory: pytest.TempPathFactory, name: str) -> Path:
    """Return a folder of this test run that all worker processes see."""
    base = factory.getbasetemp()
    return (base.parent if base.name.startswith("popen-") else base) / name


def commit(repository: Path) -> Path:
    """Make a git repository of a folder if it is none yet, and commit all its files."""
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    run("git", "init", "--quiet", "--initial-branch=main", cwd=repository)
    run("git", "add", "--all", cwd=repository)
    run("git", *identity, "commit", "--quiet", "--message=Start from Slipway", cwd=repository)
    return repository


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A git repository with the template as it is in the working tree."""
    copy = tmp_path / "slipway"
    copy.mkdir()
    for name in ("cookiecutter.json", "hooks", TEMPLATE.name, "{{cookiecutter.project_slug}}"):
        source = ROOT / name
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(
                source,
                copy / name,
                symlinks=True,
                ignore=shutil.ignore_patterns("__pycache__", "node_modules"),
            )
        else:
            shutil.copy2(source, copy / name, follow_symlinks=False)
    return commit(copy)


@pytest.fixture(scope="session")
def ready_repo(default_repo: Path, tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default repository as its owner has it: committed, dependencies installed.

    One for all worker processes; tests do not change it.
    """
    folder = between_workers(tmp_path_factory, "ready")
    repository = folder / default_repo.name
    with FileLock(f"{folder}.lock"):
        if not (folder / "done").exists():
            shutil.copytree(default_repo, repository, symlinks=True)
            commit(repository)
            run("make", "setup", cwd=repository, path=tools.folder())
            (folder / "done").touch()
    return repository


def link_dependencies(installed: Path, folder: Path) -> None:
    """Give a folder the dependencies installed in another one, by hard links, as if just made."""
    there = folder / "node_modules"
    shutil.copytree(installed / "node_modules", there, symlinks=True, copy_function=os.link)
    there.touch()


@pytest.fixture(scope="session")
def deployable(
    bake: Bake, ready_repo: Path, tmp_path_factory: pytest.TempPathFactory
) -> Deployable:
    """Return a function from answers to a generated repository that can render its manifests.

    Tests only read it. Its checks have their dependencies, its services do not.
    """
    made: dict[tuple[tuple[str, str], ...], Path] = {}

    def repository(**answers: str) -> Path:
        key = tuple(sorted(answers.items()))
        if key not in made:
            baked = bake(**answers)
            copy = tmp_path_factory.mktemp("deployable") / baked.name
            shutil.copytree(baked, copy, symlinks=True)
            link_dependencies(ready_repo / "checks", copy / "checks")
            made[key] = copy
        return made[key]

    return repository


@pytest.fixture(scope="session")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file for each check of some files: what it said, nothing if they passed."""
    folder = between_workers(tmp_path_factory, "judged")
    folder.mkdir(exist_ok=True)
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the matrix has judged: for each check how many inputs, and how long they took."""
    took: dict[str, list[float]] = defaultdict(list)
    combinations = 0
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        if "a_combination" in report.nodeid and report.when == "call":
            combinations += 1
            for check, seconds in report.user_properties:
                took[check].append(float(seconds))
    if not combinations:
        return
    terminalreporter.write_sep("=", f"{combinations} combinations of answers")
    for check, each in took.items():
        terminalreporter.write_line(f"{check:18} {len(each):3} different inputs {sum(each):6.0f} s")
    inputs = sum(len(each) for each in took.values())
    work = sum(sum(each) for each in took.values())
    terminalreporter.write_line(f"{'all':18} {inputs:3} different inputs {work:6.0f} s")
