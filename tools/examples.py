"""Generate the repositories below examples/ anew: `python -m tools.examples`.

The answers of each stand beside it, as a configuration that cookiecutter reads too.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import yaml
from cookiecutter.main import cookiecutter

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "examples"


def answers() -> dict[str, dict[str, str]]:
    """Return the answers of each example by its name."""
    return {
        file.stem: yaml.safe_load(file.read_text(encoding="utf-8"))["default_context"]
        for file in sorted(FOLDER.glob("*.yaml"))
    }


def main() -> None:
    """Put newly generated repositories in the place of the old ones."""
    with tempfile.TemporaryDirectory() as folder:
        for name, given in answers().items():
            made = cookiecutter(str(ROOT), no_input=True, extra_context=given, output_dir=folder)
            there = FOLDER / name
            shutil.rmtree(there, ignore_errors=True)
            shutil.copytree(made, there, symlinks=True)
            print(f"[examples] {there.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
