"""Stands before cookiecutter in tests: the same template with the same answers is made once.

Arguments are those of `cookiecutter --no-input --config-file=F --output-dir=F TEMPLATE [ANSWER=VALUE]...`; the
folder in SLIPWAY_BAKES keeps what was made.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock


def main(arguments: list[str]) -> int:
    """Make it, or copy what was made of the same before."""
    given = dict(
        argument[2:].split("=", 1)
        for argument in arguments
        if argument.startswith("--") and "=" in argument
    )
    template, *answers = [argument for argument in arguments if not argument.startswith("--")]
    commit = subprocess.run(
        ("git", "rev-parse", "HEAD"), cwd=template, check=True, capture_output=True, text=True
    ).stdout.strip()
    key = hashlib.sha256("\0".join([commit, *sorted(answers)]).encode()).hexdigest()
    kept = Path(os.environ["SLIPWAY_BAKES"]) / key
    with FileLock(f"{kept}.lock"):
        if not kept.is_dir():
            made = kept.with_suffix(".new")
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir(parents=True)
            config = made / "config.json"
            settings = {"replay_dir": str(made / "replay"), "default_context": {}}
            config.write_text(json.dumps(settings), encoding="utf-8")
            program = Path(sys.executable).parent / "cookiecutter"
            options = ("--no-input", f"--config-file={config}", f"--output-dir={made / 'made'}")
            result = subprocess.run((program, *options, template, *answers), check=False)
            if result.returncode:
                return result.returncode
            made.rename(kept)
    settings = json.loads(Path(given["config-file"]).read_text(encoding="utf-8"))
    shutil.copytree(kept / "replay", settings["replay_dir"])
    shutil.copytree(kept / "made", given["output-dir"], symlinks=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
