"""Check every answer before a file is written, and report every problem at once.

cookiecutter renders this file, runs it in the new and still empty repository folder, and removes
that folder when it exits with a code other than zero.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

# A bucket name, SLUG-tfstate-ACCOUNT-REGION, holds 12 digits of account and up to 14 characters of
# region and ends at 63; an identity, SLUG-production-SERVICE, ends at 63 too.
SLUG_MAX = 26
SERVICE_MAX = 24

# The fastest burn-rate alert fires at 14.4 times the allowed error ratio (Google SRE Workbook,
# "Alerting on SLOs"). That many errors must be possible: 14.4 * (1 - SLO) < 1.
FASTEST_BURN_RATE = 14.4
LOWEST_AVAILABILITY = 100 * (1 - 1 / FASTEST_BURN_RATE)

# In milliseconds.
LOWEST_LATENCY = 0.1

# Characters that reorder the text around them (CVE-2021-42574), so that a reviewer reads something
# other than what a machine does.
BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


# What YAML reads as something else than a text, so that every manifest would have to quote it.
YAML_WORDS = frozenset(["false", "n", "no", "null", "off", "on", "true", "y", "yes"])

# What is called so already where each service has something of its name: a service account, a role,
# the targets test-NAME and check-NAME. `make add-service` refuses the same.
TAKEN = frozenset(
    [
        *("apply", "cluster", "default", "ebs-csi", "external-secrets", "flow-logs"),
        *("kyverno-admission", "kyverno-reports", "nodes", "plan", "scripts", "vpc-cni"),
    ]
)

# How no bucket's name may begin (Amazon S3, "General purpose bucket naming rules").
NO_BUCKET = ("xn--", "sthree-", "amzn-s3-demo-")


class Rule(NamedTuple):
    """What an answer must be: a test, the rule in words, and an answer that passes."""

    holds: Callable[[str], bool]
    words: str
    example: str


def is_label(value: str, longest: int) -> bool:
    """Say whether value is a DNS-1035 label of at most `longest` characters.

    DNS-1123 also lets a label begin with a digit. The name of a Kubernetes Service may not (RFC
    1035), nor that of many AWS resources, so neither may ours.
    """
    return len(value) <= longest and bool(re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", value))


def is_slug(value: str) -> bool:
    """Say whether value can name the repository, and buckets and manifests after it."""
    return is_label(value, SLUG_MAX) and value not in YAML_WORDS and not value.startswith(NO_BUCKET)


def is_service(value: str) -> bool:
    """Say whether value can name a service, and all that is called after it."""
    return is_label(value, SERVICE_MAX) and value not in YAML_WORDS | TAKEN


def is_text(value: str) -> bool:
    """Say whether value is one line of 1 to 500 characters that every file format can hold."""
    return (
        0 < len(value) <= 500
        and value == value.strip()
        and not any(
            unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")
            or char in BIDI_CONTROLS
            or ord(char) & 0xFFFE == 0xFFFE
            or 0xFDD0 <= ord(char) <= 0xFDEF
            for char in value
        )
    )


def is_github_owner(value: str) -> bool:
    """Say whether value can be the name of a GitHub user or organization."""
    return len(value) <= 39 and bool(re.fullmatch(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", value))


def is_aws_region(value: str) -> bool:
    """Say whether value has the form of an AWS region code outside China and the secret regions."""
    return bool(
        re.fullmatch(
            r"(af|ap|ca|eu|il|me|mx|sa|us|us-gov)"
            r"-(central|north|south|east|west|northeast|northwest|southeast|southwest)-[1-9]",
            value,
        )
    )


def is_slack_channel(value: str) -> bool:
    """Say whether value is a Slack channel name, with or without the leading #."""
    return bool(re.fullmatch(r"#?[a-z0-9_-]{1,80}", value))


def is_email(value: str) -> bool:
    """Say whether value is a dot-atom address with a full domain name (RFC 5321 lengths).

    RFC 5322 also allows a backtick, which would end a code span in Markdown, and braces, of which
    Alertmanager would make a template.
    """
    atom = r"[A-Za-z0-9!#$%&'*+/=?^_|~-]+"
    label = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    local, _, domain = value.rpartition("@")
    return (
        len(value) <= 254
        and len(local) <= 64
        and bool(re.fullmatch(rf"{atom}(\.{atom})*", local))
        and bool(re.fullmatch(rf"({label}\.)+[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]", domain))
    )


def is_availability(value: str) -> bool:
    """Say whether value is a percentage with which every burn-rate alert can fire."""
    if not re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,4})?", value):
        return False
    return FASTEST_BURN_RATE * (1 - float(value) / 100) < 1


def is_latency(value: str) -> bool:
    """Say whether value, in milliseconds, can be the boundary of a histogram bucket.

    Whole seconds are refused: the client writes le="1" where Prometheus 3 stores le="1.0", so an
    alert on such a bucket matches in a rule test and never in production. Below a tenth of a
    millisecond, the three write seconds in different ways too.
    """
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", value):
        return False
    return float(value) >= LOWEST_LATENCY and float(value) % 1000 != 0


TEXT = "must be one line of 1 to 500 characters, without control or text-direction characters"
RULES: dict[str, Rule] = {
    "project_name": Rule(is_text, TEXT, "Acme Shop"),
    "project_slug": Rule(
        is_slug,
        f"must be at most {SLUG_MAX} of a-z, 0-9 and -, begin with a letter, not end with -, "
        "and be no word of YAML's (yes, on, null), nor begin as no bucket may "
        f"({', '.join(NO_BUCKET)})",
        "acme-shop",
    ),
    "description": Rule(is_text, TEXT, "Takes orders for the Acme shop"),
    "github_owner": Rule(
        is_github_owner,
        "must be at most 39 letters, digits and single hyphens, none at the ends",
        "acme",
    ),
    "service_name": Rule(
        is_service,
        f"must be at most {SERVICE_MAX} of a-z, 0-9 and -, begin with a letter, not end with -, "
        "and be no word of YAML's (yes, on, null), nor what is there already "
        f"({', '.join(sorted(TAKEN))})",
        "orders",
    ),
    "aws_region": Rule(is_aws_region, "must be the code of an AWS region", "eu-west-1"),
    "slack_channel": Rule(
        is_slack_channel, "must be at most 80 of a-z, 0-9, - and _, # before it or not", "#alerts"
    ),
    "alert_email": Rule(is_email, "must be an email address", "oncall@example.com"),
    "slo_availability": Rule(
        is_availability,
        f"must be a percentage above {LOWEST_AVAILABILITY:.2f} and below 100, at most 4 decimals, "
        "so that 14.4 x (1 - SLO) < 1 and the fastest alert can fire",
        "99.9",
    ),
    "slo_latency_ms": Rule(
        is_latency,
        f"must be milliseconds from {LOWEST_LATENCY} to below 10000, "
        "and not a whole number of seconds",
        "300",
    ),
}


def typed(answers: Mapping[str, str], prompt: str) -> str:
    """Return what the user answered; the slug's slashes are replaced before a folder is made."""
    return answers["__project_slug_answer"] if prompt == "project_slug" else answers[prompt]


def broken_rules(answers: Mapping[str, str]) -> list[str]:
    """Return the prompts whose answers break their rule, in the order of the questions."""
    return [prompt for prompt, rule in RULES.items() if not rule.holds(typed(answers, prompt))]


def problem(prompt: str, value: str) -> str:
    """Return one line: the prompt, the value, the rule, and an answer that would pass."""
    shown = value if len(value) <= 80 else f"{value[:77]}... ({len(value)} characters)"
    quoted = json.dumps(shown, ensure_ascii=not shown.isprintable())
    return f"  {prompt} = {quoted}: {RULES[prompt].words}; for example {RULES[prompt].example!r}"


def escaped(value: str) -> str:
    """Return value such that cookiecutter, which renders answers given on its command line, gets
    it back: each < that would begin a delimiter, and a # that would begin a statement, is quoted.
    """
    begins = re.compile(r"<(?=[%#<])|^#(?=%)")
    return begins.sub(lambda mark: f"{'<' * 2} '{mark[0]}' >>", value)


def by_cruft(answers: Mapping[str, str]) -> bool:
    """Say whether cruft runs this: it alone says which commit of the template it is."""
    return "_commit" in answers


def retry_command(answers: Mapping[str, str], broken: list[str]) -> str:
    """Return a command that asks again with the good answers as defaults.

    It runs in whatever folder and with whatever PATH: the program is the one that runs this, which
    make and pipx keep where no PATH leads, and folders are whole paths.
    """
    kept = {
        prompt: escaped(str(value))
        for prompt, value in answers.items()
        if not prompt.startswith("_") and prompt not in broken
    }
    cruft = by_cruft(answers)
    beside = Path(sys.executable).with_name("cruft" if cruft else "cookiecutter")
    words = [str(beside) if beside.is_file() else beside.name, *(["create"] if cruft else [])]
    # Where the user is. This runs in the new repository's folder.
    here = Path(os.environ.get("PWD", os.devnull))
    if Path.cwd().parent != here.resolve():
        words += ["--output-dir", str(Path.cwd().parent)]
    if answers.get("_checkout"):
        words += ["--checkout", str(answers["_checkout"])]
    template = here / str(answers["_template"])
    is_here = (template / "cookiecutter.json").is_file()
    words.append(os.path.normpath(template) if is_here else str(answers["_template"]))
    if cruft:
        words += ["--extra-context", json.dumps(kept, ensure_ascii=False)]
    else:
        words += [f"{prompt}={value}" for prompt, value in kept.items()]
    return shlex.join(words)


def main(answers: Mapping[str, str]) -> int:
    """Print every problem and return the exit code: 0 when there is none."""
    broken = broken_rules(answers)
    if not broken:
        return 0
    print(f"Nothing was generated. {len(broken)} to correct:", file=sys.stderr)
    for prompt in broken:
        print(problem(prompt, typed(answers, prompt)), file=sys.stderr)
    # What cruft was given besides, it does not tell.
    also = " (add --checkout and --skip if you gave them)" if by_cruft(answers) else ""
    print(f"To be asked again, with your other answers kept{also}:", file=sys.stderr)
    print(f"  {retry_command(answers, broken)}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    # JSON never holds three quotes in a row, so no answer can end the raw string.
    sys.exit(main(json.loads(r"""<< cookiecutter|tojson >>""")))
