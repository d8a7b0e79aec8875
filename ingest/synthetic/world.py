"""A whole world from a size and a seed: blocks made by pure functions, inside Spark tasks or one by one.

Blocks never talk to each other, so the bytes do not depend on how many run at once.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ingest.synthetic.delivery import Delivery, deliver, landing_files, replace
from ingest.synthetic.lookalikes import plant_lookalikes
from ingest.synthetic.population import Block, new_block
from ingest.synthetic.records import Frames, landing_frames
from ingest.synthetic.rings import plant_rings
from ingest.synthetic.settings import WorldCounts, WorldSettings
from ingest.synthetic.texts import applicant_ids, moments

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SOURCES = (
    "applications", "phones", "devices", "contacts", "calls", "loans", "repayments", "contact_attempts",
    "relations", "labels",
)  # fmt: skip


def block_frames(block: int, settings: WorldSettings) -> Frames:
    """Return one block's landing rows by source, `truth/<name>` frames beside them; pure, without Spark.

    A landing frame has the contract's columns as strings and `day`, the delivery as days since 1970, in order of
    delivery; broken rows and withdrawals are only in the files.
    """
    deliveries, truth = _made(block, settings)
    return {**{name: d.rows for name, d in deliveries.items()}, **{f"truth/{name}": f for name, f in truth.items()}}


def _made(number: int, settings: WorldSettings) -> tuple[dict[str, Delivery], Frames]:
    block = new_block(settings, number)
    plant_rings(block)
    plant_lookalikes(block)
    frames = landing_frames(block)
    return {source: deliver(block, source, frames[source]) for source in SOURCES}, _truth(block)


def _truth(block: Block) -> Frames:
    people, truth = block.people, block.truth
    everybody = np.arange(block.size, dtype=np.int64)

    def names(local: Iterable[int]) -> pl.Series:
        return applicant_ids(block, np.fromiter(local, dtype=np.int64))

    joined = np.array([r[4] for r in truth.rings], dtype=np.int64)
    return {
        "persons": pl.DataFrame(
            {
                "applicant_id": names(everybody),
                "human_id": "H" + names(people.human).str.slice(1),
                "block": np.full(block.size, block.number),
                "is_fraud": people.fraud,
            }
        ),
        "rings": pl.DataFrame(
            {
                "ring_id": pl.Series([r[0] for r in truth.rings], dtype=pl.String),
                "typology": pl.Series([r[1] for r in truth.rings], dtype=pl.String),
                "applicant_id": names(r[2] for r in truth.rings),
                "role": pl.Series([r[3] for r in truth.rings], dtype=pl.String),
                "joined_at": moments(joined),
            }
        ),
        "lookalikes": pl.DataFrame(
            {
                "group_id": pl.Series([g[0] for g in truth.lookalikes], dtype=pl.String),
                "kind": pl.Series([g[1] for g in truth.lookalikes], dtype=pl.String),
                "applicant_id": names(g[2] for g in truth.lookalikes),
            }
        ),
        "lost_contacts": pl.DataFrame(
            {
                "loan_id": pl.Series([x[0] for x in truth.lost], dtype=pl.String),
                "applicant_id": names(x[1] for x in truth.lost),
                "case": pl.Series([x[2] for x in truth.lost], dtype=pl.String),
                "route": pl.Series([x[3] for x in truth.lost], dtype=pl.String),
                "right_number": pl.Series([x[4] or None for x in truth.lost], dtype=pl.String),
                "lead_allowed": pl.Series([x[5] for x in truth.lost], dtype=pl.Boolean),
            }
        ),
    }


def write_block(block: int, out: Path, settings: WorldSettings) -> WorldCounts:
    """Write one block's landing files and its parts `truth/<name>/part-<block>.csv` of the truth; return the counts."""
    deliveries, truth = _made(block, settings)
    files = size = 0
    for source, delivery in deliveries.items():
        for path, data in landing_files(settings, block, source, delivery):
            size += replace(out / "landing" / path, data)
            files += 1
    for name, frame in truth.items():
        size += replace(out / "truth" / name / f"part-{block:05d}.csv", frame.write_csv().encode())
        files += 1
    made = deliveries.items()
    return WorldCounts(
        blocks=1,
        files=files,
        bytes=size,
        rows={s: len(d.rows) + len(d.deletes) + len(d.broken) for s, d in made},
        dirty={s: len(d.broken) for s, d in made},
        malformed={s: sum(wrong for _, _, wrong in d.broken) for s, d in made},
        redelivered={s: d.redelivered for s, d in made},
        truth={name: len(frame) for name, frame in truth.items()},
    )


def write_world(
    spark: SparkSession | None, out: Path, *, applicants: int, nights: int, seed: int, **settings: Any
) -> WorldCounts:
    """Write a whole world below `out`, one Spark task per block, or in this process without Spark; return its counts.

    `settings` are fields of `WorldSettings`. Every executor must see `out`. Files already there are replaced, never
    removed: begin with an empty folder.
    """
    if isinstance(settings.get("end_date"), str):
        settings["end_date"] = dt.date.fromisoformat(settings["end_date"])
    world = WorldSettings(applicants=applicants, nights=nights, seed=seed, **settings)
    (out / "landing").mkdir(parents=True, exist_ok=True)
    if spark is None:
        return sum((write_block(b, out, world) for b in range(world.blocks)), WorldCounts())
    target = out.resolve()
    counts = (
        spark.sparkContext.parallelize(range(world.blocks), world.blocks)
        .map(lambda number: dataclasses.astuple(write_block(number, target, world)))
        .collect()
    )
    return sum((WorldCounts(*each) for each in counts), WorldCounts())
