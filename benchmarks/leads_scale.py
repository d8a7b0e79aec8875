"""How long a night's leads take for a million borrowers who fell silent, from the lake's tables to leads written."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl
import pyarrow as pa
from deltalake import write_deltalake
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from algorithms.contact.policy import read_policy
from algorithms.leads.leads import Law
from algorithms.leads.night import find_leads
from algorithms.leads.records import Records
from benchmarks.machine import PeakMemory, description
from graph.lake import Lake
from graph.settings import PlatformSettings, SparkSettings
from graph.spark import spark_session

RESULTS = Path(__file__).parent / "results" / "leads_scale.json"
DAY = date(2026, 6, 30)
AT = datetime(2026, 6, 30, 23, 59, tzinfo=UTC)
APPLIED, SILENT = datetime(2025, 10, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
CIRCLE, CALLS, BOOK = 8, 24, 12  # partners of a number, its calls, entries of an address book
_PART = 200_000  # borrowers written at once
_MOMENT = pl.Datetime("us", "UTC")

Ints = NDArray[np.int64]


def token(kind: str, n: Ints) -> pl.Series:
    """Tokens that look drawn, as those of `graph.tokens` do: 16 bytes of two multiples by odd constants."""
    words = np.stack([n.astype(np.uint64) * np.uint64(odd) for odd in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)], axis=1)
    drawn = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(n), [None, pa.py_buffer(words.byteswap())])
    return (kind + "_" + pl.Series(drawn.cast(pa.binary())).bin.encode("hex")).alias(kind)


def _known(rows: dict[str, Any], at: Any, count: int) -> pl.DataFrame:
    told = {**rows, "at": at, "delivered_on": DAY, "ended_on": None}
    columns = (isinstance(value, (pl.Series, np.ndarray)) for value in told.values())
    frame = pl.DataFrame(
        {
            k: v if whole else pl.repeat(v, count, eager=True)
            for (k, v), whole in zip(told.items(), columns, strict=True)
        }
    )
    return frame.with_columns(pl.col("at").cast(_MOMENT), pl.col("ended_on").cast(pl.Date))


def _later(begin: datetime, days: NDArray[np.float64]) -> pl.Series:
    return pl.Series((begin.timestamp() * 1e6 + days * 86_400e6).astype(np.int64)).cast(_MOMENT)


def write_part(lake: Lake, first: int, count: int, rng: np.random.Generator) -> None:
    """Write what a night knows of borrowers `first` to `first + count`: all silent, a third of them on a new number.

    A partner of an old number is another borrower or an outsider; of those who have a new number, half put its card
    into the old handset, and half are called on it by their circle.
    """
    who = np.arange(first, first + count)
    ids, people = pl.Series(who).cast(pl.String), "per_" + pl.Series(who).cast(pl.String)
    old, new = token("tel", who), token("tel", who + 10**9)
    sim, new_sim = token("sim", who), token("sim", who + 10**9)
    handset, moved = token("dev", who), who % 3 == 0
    by_handset, by_circle = moved & (who % 2 == 0), moved & (who % 2 == 1)
    nobody = pl.Series([None] * count, dtype=pl.String)

    def graph(table: str, rows: pl.DataFrame) -> None:
        write_deltalake(lake.graph(table), rows.to_arrow(), mode="append")

    def raw(source: str, rows: pl.DataFrame) -> None:
        write_deltalake(lake.raw(source), rows.with_columns(op=pl.lit("upsert")).to_arrow(), mode="append")

    graph("applicant_person", _known({"applicant_id": ids, "person_id": people}, APPLIED, count))
    held = _known({"src": ids, "dst": old, "held_from": APPLIED, "held_to": None}, APPLIED, count)
    graph("uses_phone_events", held.with_columns(pl.col("held_from", "held_to").cast(_MOMENT)))
    graph("uses_device_events", _known({"src": ids, "dst": handset}, APPLIED, count))
    graph("device_holds_sim_events", _known({"src": handset, "dst": sim}, APPLIED, count))
    graph("phone_holds_sim_events", _known({"src": old, "dst": sim}, APPLIED, count))
    put = pl.Series(by_handset)
    n = int(put.sum())
    graph("device_holds_sim_events", _known({"src": handset.filter(put), "dst": new_sim.filter(put)}, SILENT, n))
    graph("phone_holds_sim_events", _known({"src": new.filter(put), "dst": new_sim.filter(put)}, SILENT, n))

    applied = {"applicant_id": ids, "application_id": "P" + ids, "id_number": token("idn", who),
               "name": token("nam", who), "birth_date": nobody, "phone": old, "bank_card": nobody, "iccid": sim,
               "applied_at": APPLIED}  # fmt: skip
    raw("applications", _known(applied, APPLIED, count).drop("at"))
    loan = {"loan_id": "L" + ids, "applicant_id": ids, "status": "overdue", "disbursed_at": APPLIED}
    raw("loans", _known(loan, APPLIED, count).drop("at"))
    due = {"loan_id": "L" + ids, "due_at": SILENT, "due_cny": 1000.0, "paid_at": None, "paid_cny": None}
    unpaid = pl.col("paid_at").cast(_MOMENT), pl.col("paid_cny").cast(pl.Float64)
    raw("repayments", _known(due, APPLIED, count).drop("at").with_columns(*unpaid))
    report = {"phone": old, "holder_id_number": token("idn", who), "iccid": sim, "imei": handset, "opened_at": APPLIED,
              "closed_at": None, "observed_at": APPLIED}  # fmt: skip
    moments = pl.col("opened_at", "closed_at", "observed_at").cast(_MOMENT)
    raw("phones", _known(report, APPLIED, count).drop("at").with_columns(moments))
    logged_in = {"applicant_id": ids, "iccid": sim, "event_at": APPLIED}
    raw("devices", _known(logged_in, APPLIED, count).drop("at").with_columns(pl.col("event_at").cast(_MOMENT)))
    for k in range(3):
        tried = {"attempt_id": f"T{k}-" + ids, "loan_id": "L" + ids, "applicant_id": ids, "phone": old,
                 "attempted_at": SILENT + timedelta(days=10 + 3 * k), "outcome": "no_answer"}  # fmt: skip
        raw("contact_attempts", _known(tried, APPLIED, count).drop("at"))

    partner = (np.repeat(who, CIRCLE) * 7 + np.tile(np.arange(CIRCLE), count) * 100_003) % 10**8 + 2 * 10**9
    each = np.repeat(np.arange(count), CALLS)
    strong = np.minimum((rng.random(len(each)) ** 2 * CIRCLE).astype(np.int64), CIRCLE - 1)
    with_whom = partner.reshape(count, CIRCLE)[each, strong]
    called = {"src": old.gather(each), "dst": token("tel", with_whom), "duration_s": rng.integers(0, 600, len(each)),
              "missed_count": np.zeros(len(each), np.int64)}  # fmt: skip
    called_at = _later(APPLIED, rng.random(len(each)) * 120)
    graph("called_events", _known(called, called_at, len(each)))
    logged = {"phone": called["src"], "started_at": called_at, "duration_s": called["duration_s"]}
    raw("calls", _known(logged, APPLIED, len(each)).drop("at"))
    again = np.repeat(np.flatnonzero(by_circle), 4)
    of = partner.reshape(count, CIRCLE)[again, np.tile(np.arange(4), len(again) // 4)]
    since = {"src": token("tel", of), "dst": new.gather(again), "duration_s": np.full(len(again), 90),
             "missed_count": np.zeros(len(again), np.int64)}  # fmt: skip
    graph("called_events", _known(since, _later(SILENT, 1 + rng.random(len(again)) * 100), len(again)))

    owner = np.repeat(np.arange(count), BOOK)
    place = np.tile(np.arange(BOOK), count)
    listed = np.where(place < CIRCLE, partner.reshape(count, CIRCLE)[owner, np.minimum(place, CIRCLE - 1)],
                      3 * 10**9 + rng.integers(0, 10**8, len(owner)))  # fmt: skip
    word = pl.Series(np.array(["spouse", "parent", "friend", "address_book"])[np.minimum(place, 3)].tolist())
    book = {"src": ids.gather(owner), "dst": token("tel", listed), "relation": word, "emergency": place < 2,
            "contact_name": token("nam", listed)}  # fmt: skip
    graph("lists_contact_events", _known(book, APPLIED, len(owner)))


@contextmanager
def timed_steps() -> Iterator[dict[str, float]]:
    """Time what `Records.keep` computes, by the function that asked; what is written is not among it."""
    seconds: dict[str, float] = {}
    keep = Records.keep

    def timed(self: Records, rows: DataFrame, by: str | None = None) -> DataFrame:
        begun = time.monotonic()
        kept = keep(self, rows, by)
        frame = sys._getframe(1)
        while frame.f_code.co_name.startswith("<") and frame.f_back:
            frame = frame.f_back
        step = f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}:{frame.f_lineno}"
        seconds[step] = round(seconds.get(step, 0.0) + time.monotonic() - begun, 1)
        return kept

    with patch.object(Records, "keep", timed):
        yield seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--borrowers", type=int, action="append", help="Default: 100000 and 1000000")
    told: dict[str, Any] = {"machine": description(), "runs": {}}
    for borrowers in parser.parse_args().borrowers or [100_000, 1_000_000]:
        folder = Path(tempfile.mkdtemp(prefix="leads-scale-"))
        try:
            lake, rng, begun = Lake(folder / "lake"), np.random.default_rng(0), time.monotonic()
            for first in range(0, borrowers, _PART):
                write_part(lake, first, min(_PART, borrowers - first), rng)
            written = time.monotonic() - begun
            settings = SparkSettings(local_dir=folder / "spark", driver_memory="10g", shuffle_partitions=16)
            session = spark_session("bench-leads", settings, PlatformSettings())
            begun = time.monotonic()
            with PeakMemory() as memory, timed_steps() as steps:
                night = find_leads(session, lake, DAY, AT, Law((read_policy("cn"),)))
            seconds = time.monotonic() - begun
            told["runs"][str(borrowers)] = {
                "borrowers": borrowers, "calls": borrowers * CALLS, "contacts": borrowers * BOOK,
                "seconds": round(seconds, 1), "borrowers_per_second": round(borrowers / seconds),
                "peak_gb": round(memory.peak_gb, 2), "written_seconds": round(written, 1), "steps": steps,
                "night": night,
            }  # fmt: skip
            print(json.dumps(told["runs"][str(borrowers)]), flush=True)
            RESULTS.write_text(json.dumps(told, indent=1) + "\n")
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
