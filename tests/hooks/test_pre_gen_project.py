"""Bad answers are refused, all of them at once, in words that help, and leave nothing behind."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from conftest import commit
from support import BIN, LONGEST, ROOT, files_of, load_hook, prompts, run

COOKIECUTTER = BIN / "cookiecutter"


HOOK = load_hook()

GOOD = {
    "project_name": ["Acme Shop", "注文", "a" * 500, '"\\ $(x) ${{ y }} {{ z }} << %> # 🚢 שלום'],
    "project_slug": [
        "a",
        "acme-shop",
        "a1",
        "scripts",
        "node",
        "kube-system",
        "yes-1",
        LONGEST["project_slug"],
    ],
    "description": ["x", "👩‍💻 ships it", 'it\'s "quoted": yes # no'],
    "github_owner": ["acme", "Acme-Corp", "a", "1a", "a" * 39],
    "service_name": [
        "orders",
        "o",
        "a-b-c",
        "node",
        "test",
        "monitoring",
        "checks",
        "delete",
        LONGEST["service_name"],
    ],
    "aws_region": ["eu-west-1", "us-east-1", "ap-southeast-2", "us-gov-west-1", "il-central-1"],
    "slack_channel": ["#alerts", "alerts", "a_b-c", "#" + "a" * 80],
    "alert_email": ["a@b.co", "on.call+eks@mail.example.com", "o'brien@example.com"],
    "slo_availability": ["99.9", "99", "99.99", "93.06", "99.9999"],
    "slo_latency_ms": ["300", "0.5", "0.1", "1", "999.999", "1500", "9999.9"],
}
BAD = {
    "project_name": ["", " ", " padded ", "two\nlines", "a" * 501, "tab\t", "\u202eevil", "a\u2028b"],
    "project_slug": ["", "Acme", "3scale", "-a", "a-", "a_b", "a" * 27, "a/b", "../a", "a.b", "ä", "on", "null", "xn--a", "aux!", "$(id)", "a\n", "שלום", "🚢", "a" * 10_000],
    "description": ["", "line\u0085break", "x" * 501, "nul\0", "\ufffe", "\ufdd0"],
    "github_owner": ["", "-a", "a-", "a--b", "a_b", "a" * 40, "a b", "ä"],
    "service_name": ["", "Orders", "1st", "-x", "x-", "a.b", "a" * 25, "a b", "orders/../x", "yes", "true", "default", "scripts", "plan", "CON", "{{ x }}"],
    "aws_region": ["", "eu", "eu-wset-1", "EU-WEST-1", "eu-west-1a", "eu-west-0", "cn-north-1"],
    "slack_channel": ["", "#", "##a", "#Alerts", "#a b", "#a.b", "#" + "a" * 81],
    "alert_email": ["", "a", "a@b", "@b.co", "a@@b.co", "a b@c.de", "a..b@c.de", "a`b@c.de", "a@-b.de", "{{x}}@b.co", "א@b.co", "a@b.co\n"],
    "slo_availability": ["", "0.999", "93.05", "100", "99.9%", "nan", "1e2", "99.99999", "９９"],
    "slo_latency_ms": ["", "0", "0.0", "0.001", "0.099", "1e9", "-1", "1000", "9000", "2000.0", "10000", "1e2", "inf", "３００"],
}  # fmt: skip


def test_a_service_may_be_called_as_make_add_service_allows(default_repo: Path) -> None:
    module = (default_repo / "checks/lib/services.js").read_text(encoding="utf-8")
    terraform = (default_repo / "infra/modules/environment/main.tf").read_text(encoding="utf-8")
    makefile = (default_repo / "Makefile").read_text(encoding="utf-8")
    listed = re.search(r"YAML_WORDS = \[(.+?)\]", module, re.S)
    roles = re.search(r"reserved_names\s*=\s*\[(.+?)\]", terraform, re.S)
    assert listed and roles
    assert set(re.findall(r"'(.+?)'", listed[1])) == HOOK.YAML_WORDS
    targets = re.findall(r"^(?:test|check)-([a-z-]+):", makefile, re.M)
    taken = {"default", *re.findall(r'"(.+?)"', roles[1]), *targets}
    assert taken == HOOK.TAKEN


def cases(values: dict[str, list[str]]) -> list[object]:
    return [
        pytest.param(prompt, value, id=f"{prompt}-{ascii(value)[:40]}")
        for prompt, entries in values.items()
        for value in entries
    ]


def test_each_prompt_has_a_rule_or_a_fixed_set_of_answers() -> None:
    free = {name for name, value in prompts().items() if isinstance(value, str)}
    assert set(HOOK.RULES) == free == set(GOOD) == set(BAD)


@pytest.mark.parametrize(("prompt", "value"), cases(GOOD))
def test_accepts(prompt: str, value: str) -> None:
    assert HOOK.RULES[prompt].holds(value)


@pytest.mark.parametrize(("prompt", "value"), cases(BAD))
def test_refuses(prompt: str, value: str) -> None:
    assert not HOOK.RULES[prompt].holds(value)


@pytest.mark.parametrize("prompt", list(GOOD))
def test_the_example_in_a_message_passes_its_own_rule(prompt: str) -> None:
    assert HOOK.RULES[prompt].holds(HOOK.RULES[prompt].example)


def generate(folder: Path, **answers: str) -> tuple[int, str]:
    """Run cookiecutter as a user does; return its exit code and all that it printed."""
    arguments = [f"{name}={value}" for name, value in answers.items()]
    result = run(
        COOKIECUTTER,
        "--no-input",
        ROOT,
        *arguments,
        cwd=folder,
        check=False,
        environment={"HOME": str(folder.parent)},
    )
    return result.returncode, result.stdout + result.stderr


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    folder = tmp_path / "work" / "here"
    folder.mkdir(parents=True)
    return folder


def test_reports_every_problem_at_once_and_leaves_nothing(empty: Path) -> None:
    bad = {prompt: values[1] for prompt, values in BAD.items() if prompt != "project_name"}
    code, output = generate(empty, **bad)
    assert code != 0
    for prompt, value in bad.items():
        line = next(line for line in output.splitlines() if line.startswith(f"  {prompt} = "))
        assert json.dumps(value) in line, f"the line does not show the value: {line}"
        assert "must be" in line and "for example" in line, line
    assert f"{len(bad)} to correct" in output
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize(
    "slug", ["a/b", "../outside", "a/../../b", "./x/", "a\\b", "{absolute}/deep/er", "..", ""]
)
def test_a_slug_that_is_a_path_makes_no_folder_anywhere(empty: Path, slug: str) -> None:
    slug = slug.format(absolute=empty.parent)
    before = sorted(empty.parent.parent.rglob("*"))
    code, _ = generate(empty, project_slug=slug)
    assert code != 0
    after = [path for path in sorted(empty.parent.parent.rglob("*")) if ".cookie" not in str(path)]
    assert after == before, "a refused slug left something on disk"


def test_an_existing_folder_is_left_as_it_is(empty: Path) -> None:
    kept = empty / "acme-shop" / "mine.txt"
    kept.parent.mkdir()
    kept.write_text("mine", encoding="utf-8")
    code, output = generate(empty)
    assert code != 0
    assert "already exists" in output
    assert files_of(empty) == [kept]
    assert kept.read_text(encoding="utf-8") == "mine"


# What a shell, cookiecutter or JSON may take for its own.
HOSTILE = "a << b <% c <# d #% e 'f' \"g\" $(h) `i` \\ {{ j }} !k"


def ask_again(output: str, folder: Path) -> dict[str, str]:
    """Run the printed command in a shell, as it stands, with nothing of ours on PATH.

    Return who answered what: with Enter at each prompt, all that was kept.
    """
    _, _, after = output.partition("with your other answers kept")
    line = next(line for line in after.splitlines() if line.startswith("  "))
    result = run(
        "bash", "-c", line,
        cwd=folder, stdin="\n" * len(prompts()), check=False,
        environment={"HOME": str(folder), "PWD": str(folder), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert result.returncode == 0, f"{line}\n{result.stdout}{result.stderr}"
    return dict(word.partition("=")[::2] for word in shlex.split(line) if "=" in word)


def described(repository: Path) -> str:
    """Return the description in a generated repository, which must have MIT's license."""
    assert "MIT License" in (repository / "LICENSE").read_text("utf-8"), "an answer is lost"
    package = json.loads((repository / "services/orders/package.json").read_text("utf-8"))
    return str(package["description"])


def test_the_retry_command_keeps_the_good_answers(empty: Path) -> None:
    """Also when nothing leads to cookiecutter, as in `pipx run cookiecutter`."""
    _, output = generate(
        empty, service_name="Orders!", description=HOOK.escaped(HOSTILE), license="MIT"
    )
    kept = ask_again(output, empty.parent)
    assert "service_name" not in kept, "the refused answer is offered again"
    assert described(empty / "acme-shop") == HOSTILE


def test_the_retry_command_of_make_new_runs_from_anywhere_and_writes_into_out(
    tmp_path: Path,
) -> None:
    typed = dict.fromkeys(prompts(), "")
    typed |= {"service_name": "Orders!", "description": HOSTILE, "license": "2"}
    out = tmp_path / "my work"
    result = run(
        "make", "new", f"OUT={out}",
        cwd=ROOT, check=False, environment={"HOME": str(tmp_path)},
        stdin="".join(f"{value}\n" for value in typed.values()),
    )  # fmt: skip
    assert result.returncode != 0 and list(out.iterdir()) == []
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    ask_again(result.stdout + result.stderr, elsewhere)
    assert list(elsewhere.glob("acme*")) == [], "the folder that was asked for is forgotten"
    assert described(out / "acme-shop") == HOSTILE


def test_the_retry_command_takes_the_same_state_of_the_template(
    template: Path, tmp_path: Path
) -> None:
    run("git", "tag", "v1.0.0", cwd=template)
    (template / "cookiecutter.json").write_text("{}", encoding="utf-8")
    commit(template)
    result = run(
        COOKIECUTTER, "--no-input", "--checkout=v1.0.0", f"git+file://{template}",
        "service_name=Orders!", "license=MIT",
        cwd=tmp_path, check=False, environment={"HOME": str(tmp_path), "PWD": str(tmp_path)},
    )  # fmt: skip
    output = result.stdout + result.stderr
    assert "--output-dir" not in output, "the folder is where it would be anyway"
    # It asks whether it may get its copy of the template anew.
    shutil.rmtree(tmp_path / ".cookiecutters")
    ask_again(output, tmp_path)
    described(tmp_path / "acme-shop")


def test_the_retry_command_of_cruft_is_crufts(template: Path, tmp_path: Path) -> None:
    answers = {"service_name": "Orders!", "license": "MIT", "description": HOOK.escaped(HOSTILE)}
    result = run(
        BIN / "cruft", "create", f"../{template.name}", "--no-input", "--output-dir", "my out",
        "--extra-context", json.dumps(answers),
        cwd=template, check=False, environment={"HOME": str(tmp_path)},
    )  # fmt: skip
    output = result.stdout + result.stderr
    assert "--checkout" in output, f"cruft does not tell what else was given:\n{output}"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    ask_again(output, elsewhere)
    made = template / "my out" / "acme-shop"
    assert described(made) == HOSTILE
    state = json.loads((made / ".cruft.json").read_text(encoding="utf-8"))
    assert state["template"] == str(template)


def test_answers_typed_at_the_prompts_may_hold_delimiters(empty: Path) -> None:
    typed = dict.fromkeys(prompts(), "")
    typed |= {"project_name": "Shop << 1 %>", "project_slug": "shop", "description": "<< <% %> >>"}
    result = run(
        COOKIECUTTER,
        ROOT,
        cwd=empty,
        stdin="".join(f"{value}\n" for value in typed.values()),
        environment={"HOME": str(empty.parent)},
    )
    package = json.loads((empty / "shop/services/orders/package.json").read_text("utf-8"))
    assert package["description"] == typed["description"]
    for label in ("Name of the project", "GitHub Container Registry", "Slack and email"):
        assert label in re.sub(r"\s+", " ", result.stdout), f"no human label {label!r}"


def test_a_rule_that_is_stated_in_a_label_is_the_rule_of_the_hook() -> None:
    labels = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))["__prompts__"]
    assert set(labels) == set(prompts()), "each prompt has a human label"
    assert f"at most {HOOK.SLUG_MAX}" in labels["project_slug"]
    assert f"at most {HOOK.SERVICE_MAX}" in labels["service_name"]
    for name, values in prompts().items():
        if isinstance(values, list):
            assert set(labels[name]) == {"__prompt__", *values}, f"a choice of {name} has no label"


def test_names_that_are_derived_from_the_longest_answers_stay_within_63() -> None:
    slug, service = "a" * HOOK.SLUG_MAX, "s" * HOOK.SERVICE_MAX
    region = max(GOOD["aws_region"], key=len)
    derived = [
        f"{slug}-tfstate-{'0' * 12}-{region}",
        f"{slug}-production-{service}",
        f"{service}-{'h' * 10}-{'p' * 5}",
    ]
    assert {name: len(name) for name in derived if len(name) > 63} == {}
