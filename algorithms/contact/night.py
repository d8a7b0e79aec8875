"""A night's leads as the lake holds them: read without Spark, and only where a night is loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from algorithms.contact.gate import Outcome
from graph.lake import Lake, has_table

if TYPE_CHECKING:
    import polars as pl

_LEAD = ("loan_id", "applicant_id", "person_id", "rank", "phone", "route", "via", "probability", "call_to", "related",
         "sources", "evidence", "holdout")  # fmt: skip
_STATE = ("loan_id", "applicant_id", "person_id", "state", "lost_since", "numbers", "overdue_cny")
_ATTEMPT = ("attempt_id", "loan_id", "applicant_id", "phone", "attempted_at", "outcome", "channel", "collector")

Rows = list[dict[str, Any]]


class NightError(Exception):
    """There is no night to load in the lake; the text says why and what to do."""


@dataclass(frozen=True)
class Night:
    """What the lake knows as of its newest day with leads: leads, states, the lender's attempts, who is who."""

    as_of_date: date
    leads: Rows
    states: Rows
    attempts: Rows
    people: Rows

    @property
    def digest(self) -> str:
        """SHA-256 of all rows, whatever their order."""
        parts = (self.leads, self.states, self.attempts, self.people)
        lines = [sorted(json.dumps(row, sort_keys=True, default=str) for row in rows) for rows in parts]
        return hashlib.sha256(json.dumps([str(self.as_of_date), lines]).encode()).hexdigest()


def read_night(lake: Lake) -> Night:
    """Return the newest night for which there are states, with all attempts the lender has delivered for its debtors.

    It may be a night without a lead. Refusals come along whomever they concern: a number that refused is called about
    nobody.

    Raises:
        NightError: the lake has no leads or states, or a table lacks a column.
    """
    import polars as pl
    import pyarrow.dataset as ds

    day = _newest_day(lake)
    states, tonight = _table(lake, "contact_states", _STATE, day), _table(lake, "leads", _LEAD, day)
    persons = pl.concat([tonight["person_id"], states["person_id"]]).unique()
    people = _people(lake, persons, pl.concat([tonight, states], how="diagonal_relaxed"))
    concerned = ds.field("applicant_id").isin(people["applicant_id"].to_list())
    concerned |= ds.field("loan_id").isin(states["loan_id"].to_list()) | (ds.field("outcome") == str(Outcome.REFUSED))
    mine = _visible(lake, "contact_attempts", _ATTEMPT, concerned).sort("attempt_id")
    return Night(
        day,
        tonight.select(_LEAD).sort("loan_id", "rank").to_dicts(),
        states.select(_STATE).sort("loan_id").to_dicts(),
        mine.to_dicts(),
        people.sort("applicant_id").to_dicts(),
    )


def _newest_day(lake: Lake) -> date:
    import pyarrow.compute as pc

    days = _delta(lake, "contact_states", ("as_of_date",)).to_table(columns=["as_of_date"])["as_of_date"]
    newest = pc.max(days).as_py()
    if newest is None:
        raise NightError("The table of contact states is empty: no borrower was looked at. There is nothing to load.")
    assert isinstance(newest, date)
    return newest


def _table(lake: Lake, name: str, columns: Sequence[str], day: date) -> pl.DataFrame:
    import polars as pl
    import pyarrow.dataset as ds

    rows = _delta(lake, name, (*columns, "as_of_date"))
    found = rows.to_table(columns=list(columns), filter=ds.field("as_of_date") == day)
    return _in_utc(pl.DataFrame(pl.from_arrow(found)))


def _delta(lake: Lake, name: str, columns: Sequence[str]) -> Any:
    from deltalake import DeltaTable

    path = lake.results(name)
    if not has_table(path):
        raise NightError(f"The lake at {lake.root} has no table {name} yet. Run a night that looks for leads first.")
    rows = DeltaTable(path).to_pyarrow_dataset()
    if missing := [name for name in columns if name not in rows.schema.names]:
        raise NightError(
            f"{name} was needed with {', '.join(columns)}; it lacks {', '.join(missing)}. It was made by another "
            "version: run the night again."
        )
    return rows


def _visible(lake: Lake, source: str, columns: Sequence[str], wanted: Any) -> pl.DataFrame:
    """Return the newest versions of the rows of a source that are wanted; none where none was ever delivered."""
    import polars as pl
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

    path = lake.raw(source)
    if not has_table(path):
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    rows = DeltaTable(path).to_pyarrow_dataset()
    have = [name for name in columns if name in rows.schema.names]
    frame = pl.DataFrame(pl.from_arrow(rows.to_table(columns=have, filter=ds.field("ended_on").is_null() & wanted)))
    return _in_utc(frame.with_columns(pl.lit(None, pl.String).alias(c) for c in columns if c not in have)).select(
        columns
    )


def _people(lake: Lake, persons: pl.Series, named: pl.DataFrame) -> pl.DataFrame:
    """Return applicant_id, person_id of all applicants who are one of these persons, and the token of their name."""
    import polars as pl
    import pyarrow.dataset as ds

    found = named.select("applicant_id", "person_id").unique()
    if has_table(path := lake.graph("applicant_person")):
        from deltalake import DeltaTable

        rows = DeltaTable(path).to_pyarrow_dataset()
        kept = ds.field("person_id").isin(persons.to_list())
        if "ended_on" in rows.schema.names:
            kept &= ds.field("ended_on").is_null()
        others = pl.DataFrame(pl.from_arrow(rows.to_table(columns=["applicant_id", "person_id"], filter=kept)))
        found = pl.concat([found, others.join(found, on="applicant_id", how="anti")])
    theirs = ds.field("applicant_id").isin(found["applicant_id"].to_list())
    names = _visible(lake, "applications", ("applicant_id", "name", "applied_at"), theirs)
    newest = (
        names.drop_nulls("name").sort("applied_at", "name").unique("applicant_id", keep="last", maintain_order=True)
    )
    return found.unique("applicant_id", maintain_order=True).join(
        newest.select("applicant_id", "name"), on="applicant_id", how="left"
    )


def _in_utc(frame: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    naive = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Datetime) and kind.time_zone is None]
    return frame.with_columns(pl.col(naive).dt.replace_time_zone("UTC"))
