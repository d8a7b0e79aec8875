"""From verdicts to the landing source `labels`, so that the next night knows what people said.

What should stand is compared with what stands in `LAKE/raw/labels`, and only the difference is delivered: a night that
was missed, or a file that was lost, is made up for by the next export, and the same export twice says the same.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from explorer.canvas.nights import end_of
from explorer.rings.verdicts import Judged, Verdict
from graph.lake import Lake, has_table

FILE = "labels-explorer.csv"  # rows of the lake keep the name of their file: by it they are told from the lender's
COLUMNS = ("applicant_id", "label", "confirmed_at", "reviewer", "op")
_LABELS = {Verdict.CONFIRMED: "fraud", Verdict.CLEARED: "normal"}  # who is unsure labels nobody
Key = tuple[str, dt.datetime]


@dataclass(frozen=True)
class Delivery:
    """The rows of a file: labels to come, labels to go, and how many judged persons have no applicant any more."""

    labels: tuple[tuple[str, str, dt.datetime, str], ...]
    ended: tuple[tuple[str, str, dt.datetime, str], ...]
    unknown: int

    def text(self) -> str:
        """Return the file's text, in the format of the landing contract."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        for rows, op in ((self.labels, "upsert"), (self.ended, "delete")):
            for applicant, label, at, reviewer in rows:
                writer.writerow([applicant, label, at.isoformat(), reviewer, op])
        return out.getvalue()


def delivery(verdicts: Iterable[Judged], lake: Lake, day: dt.date) -> Delivery:
    """Return what the lake lacks of the verdicts that stood when a day ended (UTC), and what it holds of those over.

    What was said later belongs to a later delivery: the night refuses what its own delivery cannot have known. A
    label's moment is its verdict's, so that each verdict has labels of its own: the label of a cleared ring comes after
    that of the same ring confirmed and does not rewrite it.
    """
    until = end_of(day)
    labeling = [judged for judged in verdicts if judged.verdict in _LABELS and judged.at < until]
    over = {judged.at: judged for judged in labeling if judged.ended_at is not None and judged.ended_at < until}
    standing = [judged for judged in labeling if judged.at not in over]
    persons = {person for judged in standing for person in judged.members}
    applicants = _applicants(lake, persons)
    there = _there(lake)
    wanted = {
        (applicant, judged.at): (applicant, _LABELS[judged.verdict], judged.at, judged.by)
        for judged in standing
        for person in judged.members
        for applicant in applicants.get(person, ())
    }
    fresh = [row for key, row in sorted(wanted.items()) if key not in there]
    ended = [(applicant, _LABELS[over[at].verdict], at, over[at].by) for applicant, at in sorted(there) if at in over]
    return Delivery(tuple(fresh), tuple(ended), len(persons - applicants.keys()))


def write(what: Delivery, landing: Path, day: dt.date) -> Path | None:
    """Put the delivery into `LANDING/<day>`; return the file, or None where there is nothing to say.

    A file of an earlier export for the day is replaced, also by one without rows: what it said may not hold any more.
    """
    path = landing / day.isoformat() / FILE
    if not (what.labels or what.ended or path.exists()):
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{FILE}.{os.getpid()}.part")
    part.write_text(what.text(), encoding="utf-8")
    part.replace(path)
    return path


def _applicants(lake: Lake, persons: set[str]) -> dict[str, list[str]]:
    """Return the customer numbers of each person as the lake knows them now: who was erased has none."""
    path = lake.graph("applicant_person")
    if not persons or not has_table(path):
        return {}
    rows = pl.scan_delta(str(path)).filter(pl.col("ended_on").is_null(), pl.col("person_id").is_in(sorted(persons)))
    found: dict[str, list[str]] = {}
    for person, applicant in rows.select("person_id", "applicant_id").unique().sort("applicant_id").collect().rows():
        found.setdefault(person, []).append(applicant)
    return found


def _there(lake: Lake) -> set[Key]:
    """Return the labels of the explorer that stand in the lake, by applicant and moment."""
    path = lake.raw("labels")
    if not has_table(path):
        return set()
    stands = pl.col("ended_on").is_null() & (pl.col("op") == "upsert")
    ours = pl.col("source_file").str.contains(FILE, literal=True)
    return set(pl.scan_delta(str(path)).filter(stands, ours).select("applicant_id", "confirmed_at").collect().rows())
