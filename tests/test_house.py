"""What holds for the whole repository: names that are ours, no traces of one machine, modules one can read."""

from __future__ import annotations

import re
import subprocess
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]
PACKAGES = ("graph", "ingest", "algorithms", "gnn", "explorer", "jobs")
MAX_LINES = 450
# Where a file was written, or where its packages came from, is nobody's business; `make` works everywhere.
_TRACE = re.compile(
    rb"(?<![\w.$)}/])/(?:work|home|root|Users)/\w|https?://[\w.-]*(?:proxy|mirror|artifactory|nexus)|files\.pythonhosted"
    rb"|pypi\.org/simple|--(?:extra-)?index-url \S"
)


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=HOUSE, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a clone: nothing tells which files are ours")
    return [HOUSE / name for name in listed.stdout.decode().split("\0") if name and (HOUSE / name).is_file()]


def test_no_dependency_installs_a_package_by_one_of_our_names() -> None:
    found = packages_distributions()
    for name in PACKAGES:
        assert {dist.lower().replace("_", "-") for dist in found.get(name, [])} <= {"credit-graph"}, name


def test_no_tracked_file_tells_where_it_was_made() -> None:
    traces = [
        f"{path.relative_to(HOUSE)}: {match[0].decode()}"
        for path in tracked()
        if path != Path(__file__) and (match := _TRACE.search(path.read_bytes()))
    ]
    assert not traces


def test_every_module_can_be_read_in_one_sitting() -> None:
    long = {
        str(path.relative_to(HOUSE)): lines
        for path in tracked()
        if path.suffix == ".py" and (lines := path.read_bytes().count(b"\n")) > MAX_LINES
    }
    assert not long
