"""How each drill ended: whole nights, nights killed and resumed, notebooks, a million calls through the gate."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.machine import description

RESULTS = Path(__file__).parent / "results" / "drill.json"


class Drills:
    """Takes down what pytest says of each drill: `passed`, `failed` or `skipped`, and its seconds with its set-up."""

    def __init__(self) -> None:
        self.told: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        drill = self.told.setdefault(report.nodeid, {"outcome": "passed", "seconds": 0.0})
        drill["seconds"] = round(drill["seconds"] + report.duration, 1)
        if report.outcome != "passed":
            drill["outcome"] = report.outcome


def main() -> int:
    drills, machine = Drills(), description()
    code = int(pytest.main(["-m", "drill", *sys.argv[1:]], plugins=[drills]))
    if not sys.argv[1:]:  # all of them
        told = {"machine": machine, "day": datetime.now(UTC).date().isoformat(), "drills": drills.told}
        RESULTS.write_text(json.dumps(told, indent=2) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
