"""What is usual in a snapshot: what a group is held against, for a month of nights.

While a reference stands, a ring whose own surroundings do not change keeps its score: what moves a score is a change of
the ring, not the season. A full run and a night that goes on from last night are held against the same one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from algorithms.rings import conduct
from algorithms.rings.groups import Groups
from algorithms.rings.results import rows_before, write_day
from algorithms.rings.rules import Rules
from algorithms.weights import Parameters

RING_PERSONS = 8  # of a usual ring: most have 3-12 persons
RING_VIEWS = 5  # in which rings are seen first
HIGHEST_PRIOR = -1.0
STANDS_DAYS = 30
GROWTH = 1.25  # times as many persons, or as few: a world of another size has its own reference
REFERENCES = pa.schema([("as_of_date", pa.date32()), ("terms", pa.string()), ("reference", pa.string())])


@dataclass(frozen=True)
class Reference:
    """What is usual in the whole snapshot.

    `at`: the moment of the snapshot; links are as old as they are then. `persons`: how many there are. `rates`: each
    fact's share of the persons of whom it is known. `marked`: share of known persons who never paid or are confirmed
    fraud. `usual`: view, usual_persons (99 % of the view's nodes have no more). `priors`: view, prior.
    """

    at: datetime
    persons: int
    rates: dict[str, float]
    marked: float
    usual: pl.DataFrame
    priors: pl.DataFrame
    history_days: float

    def to_json(self) -> str:
        """Return it as text that `from_json` reads; the same reference gives the same text."""
        frames = {"usual": self.usual.sort("view").to_dicts(), "priors": self.priors.sort("view").to_dicts()}
        plain = asdict(replace(self, usual=pl.DataFrame(), priors=pl.DataFrame()))
        return json.dumps(plain | {"at": self.at.isoformat()} | frames, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Reference:
        """Return the reference that `to_json` told."""
        told: dict[str, Any] = json.loads(text)
        usual = pl.DataFrame(told["usual"], schema={"view": pl.String, "usual_persons": pl.UInt32})
        priors = pl.DataFrame(told["priors"], schema={"view": pl.String, "prior": pl.Float64})
        return cls(**told | {"at": datetime.fromisoformat(told["at"]), "usual": usual, "priors": priors})

    def fits(self, groups: Groups, persons: int, at: datetime) -> bool:
        """Return whether groups of a snapshot can be held against it: not too old, as large a world, no new view."""
        return (
            0 <= (at - self.at).days < STANDS_DAYS
            and self.persons / GROWTH <= persons <= self.persons * GROWTH
            and set(groups.table["view"].unique()) <= set(self.priors["view"])
        )


def reference(groups: Groups, people: pl.DataFrame, stars: pl.DataFrame, at: datetime) -> Reference:
    """Return what is usual in a snapshot.

    The prior of a view is ln(odds) that one of its groups is a ring, before anything is known of it: there are about
    as many rings as confirmed fraud leads to expect (`RING_PERSONS` each; 1 % of all persons where there are no
    verdicts), shared out over `RING_VIEWS` views. A view with many groups has many that are none.

    Args:
        stars: from `scoring.with_node_figures`.
    """
    verdicts = people["fraud_confirmed"].drop_nulls()
    share = ((verdicts.sum() or 0) + 1) / (len(verdicts) + 100)
    expected = max(1.0, len(people) * share / RING_PERSONS / RING_VIEWS)
    priors = (
        groups.table.group_by("view")
        .agg(n=pl.len())
        .select("view", prior=(expected / pl.col("n")).log().clip(upper_bound=HIGHEST_PRIOR))
    )
    known = people.filter(pl.col("missed_first_payment").is_not_null() | pl.col("fraud_confirmed").is_not_null())
    marked = (known.filter(conduct.is_marked()).height + 0.5) / (known.height + 1)
    sizes = (
        stars.unique(["view", "node"])
        .group_by("view")
        .agg(usual_persons=pl.col("node_persons").quantile(0.99, "higher").cast(pl.UInt32))
    )
    times = people["applied_at"].drop_nulls()
    first, last = times.min(), times.max()
    days = (
        (last - first).total_seconds() / 86_400 if isinstance(first, datetime) and isinstance(last, datetime) else 1.0
    )
    return Reference(at, len(people), conduct.base_rates(people), marked, sizes, priors, max(days, 1.0))


def _terms(rules: Rules, parameters: Parameters) -> str:
    said = rules.model_dump_json() + parameters.model_dump_json()
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def standing(path: Path, day: date, rules: Rules, parameters: Parameters) -> Reference | None:
    """Return the reference of the newest night before `day` that was made under these rules and weights, if any."""
    rows = rows_before(path, day, REFERENCES.names)
    if not len(rows):
        return None
    last = rows.sort("as_of_date").row(-1, named=True)
    return Reference.from_json(last["reference"]) if last["terms"] == _terms(rules, parameters) else None


def keep(path: Path, day: date, used: Reference, rules: Rules, parameters: Parameters) -> None:
    """Write the reference that a night's groups were held against."""
    row = {"as_of_date": day, "terms": _terms(rules, parameters), "reference": used.to_json()}
    write_day(path, day, [row], REFERENCES)
