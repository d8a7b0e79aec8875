"""Runs a notebook as a user would, by nbmake, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def run(name: str, settings: dict[str, str]) -> None:
    """Run every cell; what failed is in the error."""
    command = [sys.executable, "-m", "pytest", "--nbmake", "--nbmake-timeout=300", "-p", "no:cacheprovider", "-m", ""]
    ended = subprocess.run(
        [*command, "--timeout=600", NOTEBOOKS / name], env=os.environ | settings, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout[-4_000:]
