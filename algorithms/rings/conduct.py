"""How persons behave, as yes-or-no facts, and how unusual a group's share of a fact is.

A fact that is not known of a person (no loan yet, no verdict yet) is null and counts for nobody.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import betainc, betaln

from algorithms.rings.snapshot import Tables

LOCAL_HOURS_EAST = 8  # applicants' nights are nights in China
_WEEK = 7


@dataclass(frozen=True)
class Fact:
    """A yes-or-no fact about a person; `active` is how often a ring shows it at all (a prior, from 0 to 1)."""

    name: str
    family: str  # facts of one family say much the same: only the most telling counts
    active: float
    says: str


# `active` by the typologies: who never repays and who is confirmed as fraud is the point of almost every ring; how
# its phones and forms look differs from kind to kind.
FACTS: tuple[Fact, ...] = (
    Fact("fraud_confirmed", "verdict", 0.9, "{count} of {known} with a verdict are confirmed fraud"),
    Fact("missed_payment", "repayment", 0.9, "{count} of {known} borrowers have stopped paying"),
    Fact("missed_first_payment", "repayment", 0.6, "{count} of {known} borrowers never paid the first instalment"),
    Fact("new_phone", "phone", 0.4, "{count} of {known} numbers were opened within 30 days of applying"),
    Fact("silent", "calls", 0.3, "{count} of {known} numbers hardly ever call"),
    Fact("few_counterparts", "calls", 0.3, "{count} of {known} numbers talk to fewer than five others"),
    Fact("thin_book", "calls", 0.3, "{count} of {known} have fewer than twenty contacts"),
    Fact("uncalled_emergency", "calls", 0.3, "{count} of {known} never called an emergency contact they named"),
    Fact("night", "form", 0.2, "{count} of {known} applied between midnight and six"),
    Fact("flawless_form", "form", 0.2, "{count} of {known} left no field of the form empty"),
)  # fmt: skip
_NEW_PHONE_DAYS = 30


def persons(tables: Tables) -> pl.DataFrame:
    """Return one row a person who applied or shares a node: first application, exposure, facts (null: not known).

    Columns person_id (key), applied_at (first application), last_applied_at, amount_cny, channel, exposure_cny (paid
    out and not paid back), handsets (names of handsets used), and one boolean for each of `FACTS`.
    """
    applied = tables.read("applications").sort("applied_at", "application_id")
    everybody = pl.concat([applied.select("person_id"), tables.read("stars").select("person_id")]).unique()
    first = applied.group_by("person_id", maintain_order=True).agg(
        pl.col("applied_at", "amount_cny", "channel", "blanks").first(), last_applied_at=pl.col("applied_at").last()
    )
    opened = (
        tables.read("own_phones").join(first.select("person_id", "applied_at"), on="person_id")
        .with_columns(age=(pl.col("applied_at") - pl.col("opened_at")).dt.total_days()).filter(pl.col("age") >= 0)
        .group_by("person_id").agg(pl.col("age").min())
    )  # fmt: skip
    loans = tables.read("loans").group_by("person_id").agg(
        pl.col("missed", "paid").sum(), pl.col("first_missed").any(),
        exposure_cny=(pl.col("principal_cny") - pl.col("paid_cny")).clip(lower_bound=0).sum(),
    )  # fmt: skip
    rows = (
        everybody.join(first, on="person_id", how="left")
        .join(opened, on="person_id", how="left")
        .join(loans, on="person_id", how="left")
    )
    rows = rows.join(tables.read("labels"), on="person_id", how="left")
    rows = rows.join(tables.read("behavior"), on="person_id", how="left")
    has_calls = rows["calls"].is_not_null().any()
    has_books = rows["contacts_listed"].is_not_null().any()
    due = (pl.col("missed") + pl.col("paid")) > 0
    hour = (pl.col("applied_at").dt.hour() + LOCAL_HOURS_EAST) % 24
    midnight = (pl.col("applied_at").dt.hour() == 0) & (pl.col("applied_at").dt.minute() == 0)  # a date without a time
    nobody = pl.lit(None, pl.Boolean)
    return rows.select(
        "person_id", "applied_at", "last_applied_at", "amount_cny", "channel", pl.col("exposure_cny").fill_null(0.0),
        pl.col("handsets").fill_null(0),
        fraud_confirmed=pl.col("fraud"),
        missed_payment=pl.when(due).then(pl.col("missed") > 0),
        missed_first_payment=pl.when(due).then(pl.col("first_missed")),
        new_phone=pl.col("age") < _NEW_PHONE_DAYS,
        silent=(pl.col("calls").fill_null(0) < 3) if has_calls else nobody,
        few_counterparts=(pl.col("phones_called").fill_null(0) < 5) if has_calls else nobody,
        thin_book=(pl.col("contacts_listed").fill_null(0) < 20) if has_books else nobody,
        uncalled_emergency=(
            pl.when(pl.col("emergencies_listed") > 0).then(pl.col("emergencies_called").fill_null(0) == 0)
            if has_calls else nobody
        ),
        night=pl.when(~midnight).then(hour < 6),
        flawless_form=pl.col("blanks") == 0,
    ).sort("person_id")  # fmt: skip


def base_rates(people: pl.DataFrame) -> dict[str, float]:
    """Return each fact's share among all persons of whom it is known, kept off 0 and 1 by half a person."""
    rates = {}
    for fact in FACTS:
        values = people[fact.name]
        rates[fact.name] = (len(people.filter(values)) + 0.5) / (values.count() + 1)
    return rates


def is_marked() -> pl.Expr:
    """Return whether a person never paid a first instalment or is confirmed fraud; not known counts as no."""
    return pl.col("missed_first_payment").fill_null(False) | pl.col("fraud_confirmed").fill_null(False)


def log_bayes_factor(
    count: NDArray[np.float64], known: NDArray[np.float64], base: float, active: float
) -> NDArray[np.float64]:
    """Return ln of how much likelier `count` of `known` is in a ring than among everybody.

    In a ring the fact is at work with probability `active`, and then its rate may be anything above the base rate,
    each as likely (the count's probability is a tail of the beta distribution); else it is the base rate. So only
    excess speaks for a ring. Bayes factors: Kass and Raftery 1995.
    """
    above = betainc(known - count + 1, count + 1, 1 - base)  # share of the rates that lie above the base
    ring = np.log(np.maximum(above, 1e-300)) - np.log(known + 1) - np.log1p(-base)
    choose = -np.log(known + 1) - betaln(known - count + 1, count + 1)
    usual = choose + count * np.log(base) + (known - count) * np.log1p(-base)
    likelier = np.exp(np.clip(ring - usual, -700, 50))
    return np.asarray(np.where(known > 0, np.log1p(active * (likelier - 1)), 0.0))
