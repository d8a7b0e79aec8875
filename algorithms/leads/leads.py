"""From ranked candidates to leads: who is named, what the law says of the call, and why.

The gate is asked once a night about the next morning, with everything the lender has delivered; the work queue asks it
again at the moment of the call, with what has happened since.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from algorithms.contact.gate import Attempt, Call, Decision, History, Outcome, Rule, may_contact
from algorithms.contact.holdout import held_out
from algorithms.contact.policy import Policy
from algorithms.leads import sentences
from algorithms.leads.blend import LeadRules

LEADS = (
    "loan_id string, applicant_id string, person_id string, as_of_date date, rank int, phone string, route string, "
    "via array<string>, probability double, allowed boolean, rule string, next_allowed_at timestamp, evidence string, "
    "holdout boolean, call_to string, related boolean, sources array<string>"
)
_ROW = (
    "person_id", "phone", "own", "relation", "emergency", "listed", "identity", "identity_at", "via_identity",
    "handset_at", "handset_persons", "via_handset", "book_count", "beside_count", "via_books", "circle_count",
    "circle_dice", "via_circle", "circle_out", "calls", "answered", "last_at", "share", "called_by", "called_to",
    "touch_count", "new_touch_count", "mutual", "failed_tries", "invalid", "refused", "passed_on", "alive",
    "probability",
)  # fmt: skip
_MORNING = time(10)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Law:
    """What the gate is asked with: policies in force, the debtors' time zone, numbers that nobody may call."""

    policies: tuple[Policy, ...]
    zone: str = "Asia/Shanghai"
    do_not_contact: frozenset[str] = frozenset()

    def morning_after(self, at: datetime) -> datetime:
        """Return the first ten o'clock in the debtors' zone after `at`: when the night's leads are judged."""
        zone = ZoneInfo(self.zone)
        local = at.astimezone(zone)
        day = local.date() if local.time() < _MORNING else local.date() + timedelta(days=1)
        return datetime.combine(day, _MORNING, zone)


def named(ranked: DataFrame, rules: LeadRules) -> DataFrame:
    """Return the candidates good enough to be named, `place_of` from 1 within a borrower; nobody, where none is."""
    order = Window.partitionBy("person_id").orderBy(F.desc("score"), F.desc("probability"), "phone")
    good = ranked.where(F.col("score") >= rules.minimum)
    return good.withColumn("place_of", F.row_number().over(order)).where(F.col("place_of") <= rules.most)


def leads(chosen: DataFrame, states: DataFrame, attempts: DataFrame, law: Law, at: datetime) -> DataFrame:
    """Return the leads of each loan whose borrower is looked for: columns of `LEADS`, key (`loan_id`, `rank`).

    Args:
        chosen: what `named` returned.
        states: `state.contact_states`; loans that are `silent` get leads, and only the lost ones may be called about.
        attempts: all that are known: `person_id`, `loan_id`, `phone`, `at`, `outcome`.
    """
    each = F.struct(F.unix_micros("at").alias("at"), "phone", "loan_id", "outcome")
    tries = attempts.join(chosen.select("person_id").distinct(), "person_id", "left_semi").groupBy("person_id").agg(
        F.sort_array(F.collect_list(each)).alias("tries")
    )  # fmt: skip
    none = F.array().cast("array<string>")
    numbers = F.array_union(F.coalesce("numbers", none), F.coalesce("new_numbers", none))
    loans = states.where("silent").select(
        "loan_id", "applicant_id", "person_id", "lost_since", numbers.alias("numbers")
    )
    rows = chosen.select(F.col("place_of").alias("rank"), *_ROW)
    return rows.join(loans, "person_id").join(tries, "person_id", "left").mapInArrow(_Judge(law, at), LEADS)


class _Judge:
    """Runs in Spark's workers: candidates beside their loans in, leads out."""

    def __init__(self, law: Law, at: datetime):
        self._law, self._day, self._morning = law, at.date(), law.morning_after(at)

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            told = [self._told(row) for row in pl.DataFrame(batch).iter_rows(named=True)]
            columns = zip(*told, strict=True) if told else [()] * len(_ARROW)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, _ARROW, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=_ARROW)

    def _told(self, row: dict[str, Any]) -> tuple[Any, ...]:
        """Return the lead of a candidate and a loan, in the order of `LEADS`."""
        loan_id, phone, numbers, to_debtor = row["loan_id"], row["phone"], frozenset(row["numbers"]), bool(row["own"])
        tried = tuple(
            Attempt(_EPOCH + timedelta(microseconds=t["at"]), t["phone"], t["loan_id"],
                    t["phone"] in numbers or t["outcome"] == Outcome.RIGHT_PERSON, Outcome(t["outcome"]))
            for t in row["tries"] or ()
        )  # fmt: skip
        history = History(tried, numbers, row["lost_since"], self._law.do_not_contact, self._law.zone)
        origin, related = sentences.sources(row), sentences.related(row)
        call = Call(
            phone, loan_id, "debtor" if to_debtor else "third_person", (self._law.zone,), related, frozenset(origin)
        )
        decision = may_contact(history, call, self._law.policies, self._morning)
        if row["refused"] and decision.rule != Rule.DO_NOT_CONTACT:  # whoever refused, about whomever
            decision = Decision(False, Rule.REFUSED, decision.policy, None)
        return (
            loan_id, row["applicant_id"], row["person_id"], self._day, row["rank"], phone, sentences.route(row),
            sentences.via(row), row["probability"], decision.allowed, decision.rule, decision.next_allowed,
            json.dumps(sentences.evidence(row)), held_out(loan_id), call.to, related, origin,
        )  # fmt: skip


_TEXTS = pa.list_(pa.string())
_ARROW = pa.schema(
    [("loan_id", pa.string()), ("applicant_id", pa.string()), ("person_id", pa.string()), ("as_of_date", pa.date32()),
     ("rank", pa.int32()), ("phone", pa.string()), ("route", pa.string()), ("via", _TEXTS),
     ("probability", pa.float64()), ("allowed", pa.bool_()), ("rule", pa.string()),
     ("next_allowed_at", pa.timestamp("us", "UTC")), ("evidence", pa.string()), ("holdout", pa.bool_()),
     ("call_to", pa.string()), ("related", pa.bool_()), ("sources", _TEXTS)]
)  # fmt: skip
