"""Get uv at the version and hashes of uv.lock, with nothing but Python's standard library and pip.

Usage: python3 tools/bootstrap.py TARGET, where TARGET is the path to give the uv program.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:
    found = ".".join(map(str, sys.version_info[:2]))
    sys.exit(
        f"python3 is {found}, and 3.11 or newer is needed: install one, and put it first on PATH."
    )

ROOT = Path(__file__).resolve().parent.parent


def locked_uv() -> tuple[str, list[str]]:
    """Return uv's locked version and the hashes of its wheels, as uv.lock states them."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    package = next(entry for entry in packages if entry["name"] == "uv")
    return package["version"], [wheel["hash"] for wheel in package["wheels"]]


def main(target: Path) -> int:
    """Place uv at target: a link to the one on PATH when its version fits, else a fresh one."""
    version, hashes = locked_uv()
    target.parent.mkdir(parents=True, exist_ok=True)
    on_path = shutil.which("uv")
    if (
        on_path
        and version
        in subprocess.run(
            [on_path, "--version"], capture_output=True, text=True, check=False
        ).stdout.split()
    ):
        target.unlink(missing_ok=True)
        target.symlink_to(on_path)
        return 0
    print(f"[tools] installing uv {version} into {target.parent}", file=sys.stderr)
    home = target.parent / f"uv-{version}"
    try:
        venv.create(home, clear=True, with_pip=True)
    except (subprocess.CalledProcessError, ImportError):
        shutil.rmtree(home, ignore_errors=True)
        print(
            "This Python cannot make a virtual environment with pip in it. On Debian and Ubuntu: "
            f"apt-get install python3-venv. Or install uv {version} yourself and run this again.",
            file=sys.stderr,
        )
        return 1
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        requirements.write(f"uv=={version} " + " ".join(f"--hash={entry}" for entry in hashes))
        requirements.flush()
        command = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", "--no-deps"]
        command += ["--require-hashes", "--requirement", requirements.name]
        if subprocess.run(command, check=False).returncode != 0:
            shutil.rmtree(home, ignore_errors=True)
            print(
                f"uv {version} could not be installed; see above. It comes from pypi.org, or from "
                "where PIP_INDEX_URL says; behind a proxy set HTTPS_PROXY, and PIP_CERT when the "
                "proxy has a certificate of its own.",
                file=sys.stderr,
            )
            return 1
    target.unlink(missing_ok=True)
    target.symlink_to(home.resolve() / "bin" / "uv")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
