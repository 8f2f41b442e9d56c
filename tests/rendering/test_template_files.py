"""Template files use the delimiters for templating only, and stay valid where they can."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from support import ROOT, TEMPLATE, files_of

# Constructs of other languages that use <<, and what to write instead.
INSTEAD = {
    "here-string": (r"<<<", "use printf '%s' \"$text\" | command"),
    "merge key": (r"^\s*(- +)?<<\s*:", "repeat the keys"),
    "heredoc": (r"<<[-~]?\s*\\?['\"]?[A-Za-z_]+['\"]?", "put the text in a file, or use printf"),
    "bit shift": (r"", "multiply by a power of two"),
}
TEXTS = [*files_of(TEMPLATE), *sorted((ROOT / "hooks").glob("*.py"))]


def misuse(line: str) -> str | None:
    """Return the kind of construct that uses << for something else than a template variable."""
    rest = re.sub(r"<<\s*('\w+' if )?cookiecutter\b.*?>>", "", line)
    if "<<" not in rest:
        return None
    return next(kind for kind, (pattern, _) in INSTEAD.items() if re.search(pattern, rest))


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_angle_brackets_are_used_for_templating_only(path: Path) -> None:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        kind = misuse(line)
        assert kind is None, (
            f"{path.relative_to(ROOT)}:{number}: << begins a template variable, but this is a "
            f"{kind}; {INSTEAD[kind][1]}:\n{line}"
        )


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("cat <<EOF", "heredoc"),
        ("cat <<-'END' > file", "heredoc"),
        ('grep x <<<"$text"', "here-string"),
        ("  <<: *defaults", "merge key"),
        ("- <<: *defaults", "merge key"),
        ("const flag = 1 << 4;", "bit shift"),
        ("flags <<= 2", "bit shift"),
        ("x = y << 4", "bit shift"),
        ("name: << cookiecutter.project_slug >>", None),
        ("a: <<cookiecutter.a>>-<<cookiecutter.b>>", None),
        ("echo done >> file", None),
    ],
)
def test_the_check_knows_heredocs_from_variables(line: str, kind: str | None) -> None:
    assert misuse(line) == kind


def test_template_files_can_be_read_as_what_they_are() -> None:
    """Editors and linters work on the template itself; line statements are comments there."""
    parsed = 0
    for path in files_of(TEMPLATE):
        if path.parent.match("deploy/charts/*/templates"):
            continue  # Helm's own templates
        text = path.read_text(encoding="utf-8")
        match Path(re.sub(r"<%.*?%>", "", path.name)).suffix:
            case ".yaml" | ".yml":
                list(yaml.safe_load_all(text))
            case ".json":
                json.loads(text)
            case ".toml":
                tomllib.loads(text)
            case _:
                continue
        parsed += 1
    assert parsed >= 5
