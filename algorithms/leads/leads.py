"""From ranked candidates to leads: who is named, what the law says of the call, and why.

The gate is asked once a night about the next morning, with everything the lender has delivered; the work queue asks it
again at the moment of the call, with what has happened since.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

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
    rows = chosen.groupBy("person_id").agg(F.sort_array(F.collect_list(F.struct("place_of", *_ROW))).alias("rows"))
    tries = attempts.join(rows.select("person_id"), "person_id", "left_semi").groupBy("person_id").agg(
        F.sort_array(F.collect_list(F.struct("at", "phone", "loan_id", "outcome"))).alias("tries")
    )  # fmt: skip
    loans = states.where("silent").select(
        "loan_id", "applicant_id", "person_id", "lost_since", "numbers", "new_numbers"
    )
    whole = loans.join(rows, "person_id").join(tries, "person_id", "left")
    judged = _Judge(law, at)
    return whole.mapInArrow(judged, LEADS)


class _Judge:
    """Runs in Spark's workers: loans with their candidates in, leads out."""

    def __init__(self, law: Law, at: datetime):
        self._law, self._at, self._morning = law, at, law.morning_after(at)

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            told = [lead for loan in batch.to_pylist() for lead in self.of_loan(loan)]
            yield pa.RecordBatch.from_pylist(told, schema=_ARROW)

    def of_loan(self, loan: dict[str, Any]) -> Iterator[dict[str, Any]]:
        numbers = frozenset(loan["numbers"] or ()) | frozenset(loan["new_numbers"] or ())
        tried = tuple(
            Attempt(t["at"], t["phone"], t["loan_id"], t["phone"] in numbers or t["outcome"] == Outcome.RIGHT_PERSON,
                    Outcome(t["outcome"]))
            for t in loan["tries"] or ()
        )  # fmt: skip
        history = History(tried, numbers, loan["lost_since"], self._law.do_not_contact, self._law.zone)
        for rank, row in enumerate(loan["rows"], 1):
            to_debtor, origin = bool(row["own"]), sentences.sources(row)
            call = Call(
                row["phone"], loan["loan_id"], "debtor" if to_debtor else "third_person", (self._law.zone,),
                sentences.related(row), frozenset(origin),
            )  # fmt: skip
            decision = may_contact(history, call, self._law.policies, self._morning)
            if row["refused"] and decision.rule != Rule.DO_NOT_CONTACT:  # whoever refused, about whomever
                decision = Decision(False, Rule.REFUSED, decision.policy, None)
            yield {
                "loan_id": loan["loan_id"], "applicant_id": loan["applicant_id"], "person_id": loan["person_id"],
                "as_of_date": self._at.date(), "rank": rank, "phone": row["phone"], "route": sentences.route(row),
                "via": sentences.via(row), "probability": row["probability"], "allowed": decision.allowed,
                "rule": decision.rule, "next_allowed_at": decision.next_allowed,
                "evidence": json.dumps(sentences.evidence(row)), "holdout": held_out(loan["loan_id"]),
                "call_to": call.to, "related": call.related, "sources": origin,
            }  # fmt: skip


_TEXTS = pa.list_(pa.string())
_ARROW = pa.schema(
    [("loan_id", pa.string()), ("applicant_id", pa.string()), ("person_id", pa.string()), ("as_of_date", pa.date32()),
     ("rank", pa.int32()), ("phone", pa.string()), ("route", pa.string()), ("via", _TEXTS),
     ("probability", pa.float64()), ("allowed", pa.bool_()), ("rule", pa.string()),
     ("next_allowed_at", pa.timestamp("us", "UTC")), ("evidence", pa.string()), ("holdout", pa.bool_()),
     ("call_to", pa.string()), ("related", pa.bool_()), ("sources", _TEXTS)]
)  # fmt: skip
