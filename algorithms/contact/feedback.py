"""What came of the calls made through the queue, as tables from which tomorrow's ranking learns. Tokens only."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from algorithms.contact.store import ATTEMPTS, Store

if TYPE_CHECKING:
    import polars as pl


def outcomes(url: str, until: datetime) -> pl.DataFrame:
    """Return the leads that were called and how it ended, one row a call, as was known at `until` (inclusive).

    Columns: call_id (key), lead_id, loan_id, applicant_id, as_of_date, phone, route, rank, probability, call_to (all as
    they were when the call was opened: loan_id, as_of_date, phone name the row of `leads`), outcome, at, told_at (UTC).
    A call of which nobody had said how it ended is not in it.
    """
    import polars as pl

    columns = ("lead_id", "loan_id", "applicant_id", "as_of_date", "phone", "route", "rank", "probability", "call_to",
               "outcome", "at", "told_at")  # fmt: skip
    schema = dict.fromkeys(("call_id", *columns), pl.String()) | {
        "as_of_date": pl.Date(), "rank": pl.Int64(), "probability": pl.Float64(), "at": pl.Datetime("us", "UTC"),
        "told_at": pl.Datetime("us", "UTC"),
    }  # fmt: skip
    rows = [(row["attempt_id"], *(row[name] for name in columns)) for row in _told(url, until)]
    return pl.DataFrame(rows, schema, orient="row")


def attempts_made_here(url: str, until: datetime) -> pl.DataFrame:
    """Return the same calls with the columns of `raw/contact_attempts`, to stand beside those the lender delivered.

    One row an attempt_id (key), which stays the same for good. delivered_on is the day (UTC) on which the outcome was
    told, ended_on is null; phone and collector are tokens. Drop rows whose attempt_id the lender has delivered.
    """
    import polars as pl

    schema = dict.fromkeys(
        ("attempt_id", "loan_id", "applicant_id", "phone", "attempted_at", "channel", "outcome", "collector", "op",
         "delivered_on", "ended_on"),
        pl.String(),
    ) | {"attempted_at": pl.Datetime("us", "UTC"), "delivered_on": pl.Date(), "ended_on": pl.Date()}  # fmt: skip
    rows = [
        (row["attempt_id"], row["loan_id"], row["applicant_id"], row["phone"], row["at"], row["channel"],
         row["outcome"], row["collector"], "upsert", row["told_at"].astimezone(UTC).date(), None)
        for row in _told(url, until)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema, orient="row")


def _told(url: str, until: datetime) -> list[dict[str, Any]]:
    made = select(ATTEMPTS).where(ATTEMPTS.c.source == "here", ATTEMPTS.c.outcome.is_not(None))
    known = made.where(ATTEMPTS.c.at <= until, ATTEMPTS.c.told_at <= until)
    with Store(url).reading() as connection:
        return [dict(row) for row in connection.execute(known.order_by(ATTEMPTS.c.attempt_id)).mappings()]
