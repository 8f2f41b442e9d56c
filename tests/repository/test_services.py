"""A repository takes many services, each for itself, and gives them back."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Bake, Tools, commit, link_dependencies
from support import files_of, load_hook, run, schema_environment

pytestmark = pytest.mark.slow

KINDS = [
    {},
    {"manifests": "helm", "rollout": "canary"},
]
# Words that mean something else in the files of a service.
ODD = ["http", "metrics", "service", "app", "cpu", "release", "node", "name", "image"]


def make(
    repository: Path, tools: Tools, *arguments: str, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run make with the pinned tools."""
    environment = {"NO_COLOR": "1", **schema_environment()}
    return run(
        *("make", "--silent", *arguments),
        cwd=repository,
        path=tools.folder(),
        check=check,
        environment=environment,
    )


def ready(baked: Path, ready_repo: Path, folder: Path) -> Path:
    """Return a committed copy of a baked repository, with dependencies."""
    repository = folder / baked.name
    shutil.copytree(baked, repository, symlinks=True)
    commit(repository)
    for name in ("services/orders", "checks"):
        link_dependencies(ready_repo / name, repository / name)
    return repository


@pytest.fixture
def repository(default_repo: Path, ready_repo: Path, tmp_path: Path) -> Path:
    """A copy of the default repository, with dependencies."""
    return ready(default_repo, ready_repo, tmp_path)


def add(repository: Path, tools: Tools, *names: str) -> None:
    """Add services that share the dependencies of the first one."""
    with (repository / ".git/info/exclude").open("a", encoding="utf-8") as file:
        file.write("node_modules\n")
    for name in names:
        make(repository, tools, "add-service", f"NAME={name}")
        (repository / "services" / name / "node_modules").symlink_to("../orders/node_modules")
    os.utime(repository / "services/orders/node_modules")


def status(repository: Path) -> str:
    """Return what git sees that has changed."""
    return run("git", "status", "--porcelain", cwd=repository).stdout


def refused(repository: Path, tools: Tools, *arguments: str) -> str:
    """Run what must be refused, change nothing and tell so in few lines; return what it says."""
    before = status(repository)
    result = make(repository, tools, *arguments, check=False)
    assert result.returncode != 0, f"{arguments}: {result.stdout}"
    said = re.sub(r"^make: .*\n", "", result.stderr, flags=re.M)
    assert "Nothing was changed." in said and "at " not in said.split("\n")[-2][:3], said
    assert said.count("\n") == 1, said
    assert status(repository) == before
    return said


@pytest.mark.parametrize("answers", KINDS, ids=["kustomize", "helm-canary"])
def test_a_service_comes_and_goes_without_a_trace(
    bake: Bake, ready_repo: Path, tools: Tools, tmp_path: Path, answers: dict[str, str]
) -> None:
    repository = ready(bake(**answers), ready_repo, tmp_path)
    said = make(repository, tools, "add-service", "NAME=payments").stdout
    assert status(repository) == "?? deploy/apps/payments/\n?? services/payments/\n"
    changed = [
        (file, line)
        for folder in ("services/payments", "deploy/apps/payments")
        for path in files_of(repository / folder)
        for file in [path.relative_to(repository)]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"\borders\b", line) and f"{file}:{number}\n" not in said
    ]
    assert changed == [], "add-service neither replaces this nor tells of it"

    again = make(repository, tools, "add-service", "NAME=payments").stdout
    assert again == "payments is there already, a copy of orders. Nothing was changed.\n"
    link_dependencies(ready_repo / "services/orders", repository / "services/payments")
    make(repository, tools, "contracts", "ONLY={services,deploy}")
    if not answers:
        make(repository, tools, "check-payments")
    for target in re.findall(r"^  make ([a-z-]+)", said, re.M):
        makefile = (repository / "Makefile").read_text(encoding="utf-8")
        assert f"\n{target}:" in makefile, target

    # Dependencies are no loss.
    assert "gone" in make(repository, tools, "remove-service", "NAME=payments").stdout
    assert status(repository) == ""
    assert not (repository / "services/payments").exists()
    again = make(repository, tools, "remove-service", "NAME=payments").stdout
    assert again == "There is no service payments; there is orders. Nothing was changed.\n"


def test_a_name_is_replaced_where_it_is_one(repository: Path, tools: Tools) -> None:
    """Through names that mean something else in the same files, and back again."""
    before = {
        str(path.relative_to(repository)): path.read_bytes()
        for folder in ("services/orders", "deploy/apps/orders")
        for path in files_of(repository / folder)
    }
    add(repository, tools, ODD[0])
    for old, new in itertools.pairwise(ODD):
        make(repository, tools, "add-service", f"NAME={new}", f"FROM={old}")
        (repository / "services" / new / "node_modules").symlink_to("../orders/node_modules")
    os.utime(repository / "services/orders/node_modules")
    make(repository, tools, "contracts", "ONLY={services,deploy}")
    for folder in ("services/orders", "deploy/apps/orders"):
        shutil.move(repository / folder, repository / "build" / Path(folder).name)
        shutil.rmtree(repository / "build" / Path(folder).name)
    make(repository, tools, "add-service", "NAME=orders", f"FROM={ODD[-1]}")
    after = {name: (repository / name).read_bytes() for name in before}
    assert after == before


def test_what_is_the_owners_is_copied_and_what_is_the_firsts_is_not(
    repository: Path, tools: Tools
) -> None:
    code, manifests = repository / "services/orders", repository / "deploy/apps/orders"
    package = code / "package.json"
    package.write_text(package.read_text("utf-8").replace('"0.1.0"', '"3.2.1"', 1), "utf-8")
    (code / "src/orders.ts").write_text("export const orders = 'orders';\n", encoding="utf-8")
    (code / ".env").write_text("TOKEN=secret\n", encoding="utf-8")
    (code / "test/bytes.bin").write_bytes(b"orders\xff\xfe\x00")
    (code / "link").symlink_to("README.md")
    (code / "run.sh").write_text("#!/bin/sh\n", encoding="utf-8")
    (code / "run.sh").chmod(0o755)
    (manifests / "base/role.yaml").write_text(
        "kind: RoleBinding\nmetadata: {name: 'orders'}\nsubjects:\n"
        '  - {kind: ServiceAccount, name: "orders"} # of orders\nnote: orders\n',
        encoding="utf-8",
    )
    release = manifests / "overlays/dev/release.yaml"
    release.write_text(release.read_text("utf-8").replace("0" * 64, "a" * 64), "utf-8")
    said = make(repository, tools, "add-service", "NAME=payments").stdout

    code, manifests = repository / "services/payments", repository / "deploy/apps/payments"
    found = json.loads((code / "package.json").read_text("utf-8"))
    assert (found["name"], found["version"]) == ("payments", "0.1.0")
    assert (code / "src/orders.ts").read_text("utf-8") == "export const orders = 'orders';\n"
    assert not (code / ".env").exists()
    assert (code / "test/bytes.bin").read_bytes() == b"orders\xff\xfe\x00"
    assert (code / "link").readlink() == Path("README.md")
    assert (code / "run.sh").stat().st_mode & 0o111
    assert (manifests / "base/role.yaml").read_text("utf-8") == (
        "kind: RoleBinding\nmetadata: {name: 'payments'}\nsubjects:\n"
        '  - {kind: ServiceAccount, name: "payments"} # of orders\nnote: orders\n'
    )
    assert "0" * 64 in (manifests / "overlays/dev/release.yaml").read_text("utf-8")
    assert "  deploy/apps/payments/base/role.yaml:4\n" in said


def test_a_service_that_cannot_be_is_refused(repository: Path, tools: Tools) -> None:
    (repository / "services/half").mkdir()
    (repository / "deploy/apps/other").mkdir()
    make(repository, tools, "add-service", "NAME=edited")
    with (repository / "services/edited/src/app.ts").open("a", encoding="utf-8") as file:
        file.write("// Changed.\n")
    for arguments, said in {
        (): "NAME is missing: say which service, for example NAME=payments.",
        ("NAME=orders",): "NAME=orders is taken: services/orders and deploy/apps/orders are there",
        ("NAME=half",): "NAME=half is taken: services/half is there already; choose another name.",
        ("NAME=other",): "NAME=other is taken: deploy/apps/other is there already",
        ("NAME=edited",): "NAME=edited is taken: services/edited and deploy/apps/edited are there",
        ("NAME=Payments",): "NAME=Payments must be at most 24 of a-z, 0-9 and -",
        ("NAME=it's",): "NAME=it's must be at most 24 of a-z, 0-9 and -",
        ("NAME=-x",): "NAME=-x must be at most 24 of a-z, 0-9 and -",
        ("NAME=../../x",): "NAME=../../x must be at most 24 of a-z, 0-9 and -",
        ("NAME=scripts",): "NAME=scripts would have the target test-scripts",
        ("NAME=external-secrets",): "is what a role of each environment is called; choose another",
        ("NAME=on",): "NAME=on is a word that YAML reads as another value; choose another name.",
        ("NAME=x", "FROM=y"): "FROM=y: there is no such service; there are edited, orders.",
        ("NAME=x", "FROM=half"): "FROM=half: there is no such service",
    }.items():
        assert said in refused(repository, tools, "add-service", *arguments)
    assert "NAME is missing" in refused(repository, tools, "remove-service")
    assert "NAME=../.. must" in refused(repository, tools, "remove-service", "NAME=../..")


def test_a_name_may_be_what_the_hook_takes_for_the_first_service(
    repository: Path, tools: Tools
) -> None:
    hook = load_hook()
    names = ["a", "a-b", "a--b", "a1", "1a", "-a", "a-", "A", "a.b", "a_b", "a b", "ä", "a\n"]
    names += ["a" * hook.SERVICE_MAX, "a" * (hook.SERVICE_MAX + 1)]
    names += [*hook.YAML_WORDS, *hook.TAKEN]
    script = (
        "import { problemOf } from './checks/lib/services.js';"
        "console.log(JSON.stringify(JSON.parse(process.argv[1]).map(problemOf)));"
    )
    node = tools.path("node")
    told = run(node, "--input-type=module", "-e", script, json.dumps(names), cwd=repository).stdout
    terraform = (repository / "infra/modules/environment/main.tf").read_text(encoding="utf-8")
    roles = re.findall(r'"(.+?)"', re.findall(r"reserved_names = \[(.+)\]", terraform)[0])
    assert set(roles) < hook.TAKEN
    for name, problem in zip(names, json.loads(told), strict=True):
        assert hook.RULES["service_name"].holds(name) == (problem is None), name


def test_what_would_be_lost_is_not_taken_away(repository: Path, tools: Tools) -> None:
    assert "orders is the only service" in refused(
        repository, tools, "remove-service", "NAME=orders"
    )
    make(repository, tools, "add-service", "NAME=payments")
    commit(repository)
    source = repository / "services/payments/src/app.ts"
    kept = source.read_bytes()
    secret = repository / "services/payments/.env"
    secret.touch()
    source.write_bytes(kept + b"// Changed.\n")
    said = refused(repository, tools, "remove-service", "NAME=payments")
    assert "git could not give back services/payments/src/app.ts, services/payments/.env." in said
    secret.unlink()
    source.write_bytes(kept)

    flow = repository / "deploy/flows/payments-to-orders.yaml"
    text = (repository / "docs/network.md").read_text(encoding="utf-8")
    flow.write_text(re.findall(r"```yaml\n(.+?)```", text, re.S)[0], encoding="utf-8")
    said = refused(repository, tools, "remove-service", "NAME=payments", "CONFIRM=payments")
    assert "payments has flows: delete or change deploy/flows/payments-to-orders.yaml" in said
    flow.unlink()

    digest = f"sha256:{'a' * 64}"
    make(repository, tools, "release", "NAME=payments", f"DIGEST={digest}")
    # Each service is released for itself.
    assert status(repository) == " M deploy/apps/payments/overlays/dev/release.yaml\n"
    commit(repository)
    said = refused(repository, tools, "remove-service", "NAME=payments", "CONFIRM=yes")
    assert "payments runs in dev: once main has no folder of it, Argo CD deletes it there." in said
    assert said.rstrip().endswith("add CONFIRM=payments. Nothing was changed.")
    make(repository, tools, "remove-service", "NAME=payments", "CONFIRM=payments")
    assert not (repository / "deploy/apps/payments").exists()


def test_the_first_service_can_go_when_there_is_another(repository: Path, tools: Tools) -> None:
    add(repository, tools, "checkout")
    answers = {"context": {"cookiecutter": {"service_name": "orders"}}}
    (repository / ".cruft.json").write_text(json.dumps(answers), encoding="utf-8")
    dependencies = repository / "services/checkout/node_modules"
    dependencies.unlink()
    shutil.move(repository / "services/orders/node_modules", dependencies)
    dependencies.touch()
    commit(repository)
    said = make(repository, tools, "remove-service", "NAME=orders").stdout
    assert re.search(r"^Links to them lead to checkout now: .*README\.md", said, re.M)
    assert ".cruft.json calls orders the first service: write checkout" in said
    make(repository, tools, "contracts", "ONLY={docs,services}")
    shown = make(repository, tools, "--dry-run", "image", check=False).stdout
    assert "services/checkout" in shown


def names_of(number: int) -> list[str]:
    """Return names of services beside the first one."""
    return [f"service-{index:02}" for index in range(2, number + 1)]


@pytest.mark.parametrize("answers", KINDS, ids=["kustomize", "helm-canary"])
@pytest.mark.parametrize("number", [5, pytest.param(50, marks=pytest.mark.long)])
def test_many_services_pass_all_checks(
    bake: Bake,
    ready_repo: Path,
    tools: Tools,
    tmp_path: Path,
    number: int,
    answers: dict[str, str],
) -> None:
    repository = ready(bake(**answers), ready_repo, tmp_path)
    add(repository, tools, *names_of(number))
    commit(repository)
    if number == 5 and answers:
        make(repository, tools, "contracts", "ONLY=deploy")
        return
    make(repository, tools, "contracts", "lint-deploy", "lint-images")
    assert status(repository) == ""
    if number == 5:
        return
    more = (
        "lint-dashboards",
        "lint-rules",
        "lint-rule-tests",
        "lint-alertmanager",
        "lint-workflows",
    )
    make(repository, tools, "check-service-50", *more, "test-scripts")
    for name in names_of(number):
        (repository / "services" / name / "node_modules").unlink()
        make(repository, tools, "remove-service", f"NAME={name}")
    run("git", "add", "--all", cwd=repository)
    first = run("git", "rev-list", "--max-parents=0", "HEAD", cwd=repository).stdout.strip()
    assert run("git", "diff", "--cached", "--stat", first, cwd=repository).stdout == ""
