"""Lakes whose nights ended well, failed, or are running, as `jobs nightly` would leave them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake

from graph.lake import Lake
from graph.ledger import Ledger
from jobs.nightly import REPORT, STAGES

SENTENCE = (
    "2026-06-03: how often applications.phone is empty: PSI 4.14 against 2 nights; the empty ones went from 0.0% to "
    "66.5%. Look at source applications, column phone, delivery 2026-06-03."
)
_FIGURE = {"metric": "nulls", "group": "applications.phone", "status": "alarm", "psi": 4.14, "ks": None, "ratio": None,
           "count": 480, "reference_count": 950, "nights": 2, "blame": "source applications, column phone",
           "night": "2026-06-03", "sentence": SENTENCE}  # fmt: skip
ALARM = {"status": "alarm", "counts": {"alarm": 1, "warn": 0}, "sentences": [SENTENCE], "figures": [_FIGURE]}
QUIET = {"status": "ok", "counts": {"alarm": 0, "warn": 0}, "sentences": [], "figures": []}
_TOLD: dict[str, dict[str, Any]] = {
    "ingest": {"files": 2, "unknown_files": [], "rows_in": 500, "rows_out": 480, "rows_duplicate": 13,
               "rows_quarantined": 7, "reasons": {"too_few_fields": 4, "contact_phone: masked_phone": 3}},
    "graph": {"rows_out": 1234}, "hubs": {"rows_out": 9}, "rings": {"rows_out": 3, "status": {"born": 1, "grown": 2}},
    "features": {"rows_out": 480}, "drift": QUIET, "scores": {"how": "no champion"},
    "leads": {"loans_looked_for": 5, "loans_with_lead": 3, "loans_allowed": 2},
    "load": {"how": "incremental", "neo4j_equals_lake": True, "rows_out": 1234}, "report": {"rows_out": 9},
}  # fmt: skip


def command(night: date) -> str:
    return f"python -m jobs nightly run --date {night} --landing landing --lake lake"


def ledger_of(lake: Lake) -> Ledger:
    lake.root.mkdir(parents=True, exist_ok=True)
    return Ledger(f"sqlite:///{lake.root / 'ledger.sqlite'}")


def good(lake: Lake, night: date, **told: dict[str, Any]) -> None:
    """A night that ends well; `told` replaces what a stage tells."""
    ledger, whole = ledger_of(lake), _TOLD | told
    with ledger.lease() as run:
        for position, (stage, _) in enumerate(STAGES):
            ledger.begin(run, position, stage, str(night), None, {}, command(night))
            ledger.end(run, stage, 2.0 + position, whole[stage])
    rows = [
        {"night": night, "run": run, "stage": stage, "seconds": 2.0,
         **{name: whole[stage].get(name) for name in ("rows_in", "rows_out", "rows_duplicate", "rows_quarantined")},
         "details": json.dumps({k: v for k, v in whole[stage].items() if not k.startswith("rows_")})}
        for stage, _ in STAGES if stage != "report"
    ]  # fmt: skip
    write_deltalake(lake.results("night_report"), pa.Table.from_pylist(rows, schema=REPORT), mode="append")


def failed(lake: Lake, night: date, stage: str, error: str, cause: str | None) -> None:
    """A night that fails in a stage."""
    ledger = ledger_of(lake)
    with ledger.lease() as run:
        _until(ledger, run, night, stage)
        ledger.end(run, stage, 3.5, {"cause": cause}, error)


@contextmanager
def running(lake: Lake, night: date, stage: str) -> Iterator[Ledger]:
    """A night that is in a stage while the block lasts, and is cut off with it."""
    ledger = ledger_of(lake)
    with ledger.lease() as run:
        _until(ledger, run, night, stage)
        yield ledger


def _until(ledger: Ledger, run: int, night: date, last: str) -> None:
    for position, (stage, _) in enumerate(STAGES):
        ledger.begin(run, position, stage, str(night), None, {"versions": {}}, command(night))
        if stage == last:
            return
        ledger.end(run, stage, 2.0, _TOLD[stage])


def landed(lake: Lake, night: date) -> None:
    """The two files of a night, as ingest keeps them."""
    rows = [
        {"name": f"{night}/{source}-00000.csv.gz", "source": source, "entry": 0, "digest": "", "bytes": 1000,
         "delivered_on": night, "night": night, "rows_in": 250, "rows_accepted": 250 - refused, "rows_duplicate": 0,
         "rows_quarantined": refused, "reasons": json.dumps(reasons), "notes": "{}"}
        for source, refused, reasons in (
            ("applications", 0, {}), ("contacts", 7, {"too_few_fields": 4, "contact_phone: masked_phone": 3})
        )
    ]  # fmt: skip
    write_deltalake(lake.results("landing_files"), pa.Table.from_pylist(rows), mode="append")


def write_nights(folder: Path) -> Lake:
    """Three nights: two quiet ones, and one with an alarm of drift."""
    lake = Lake(folder)
    good(lake, date(2026, 6, 1))
    good(lake, date(2026, 6, 2), drift={"how": "unchanged"})
    good(lake, date(2026, 6, 3), drift=ALARM)
    landed(lake, date(2026, 6, 3))
    return lake
