"""Random days of several collectors: whatever they do, no call is made that the rules, written twice, forbid."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from algorithms.contact.gate import Attempt, Call, History, Outcome
from algorithms.contact.loading import load
from algorithms.contact.night import Night
from algorithms.contact.policy import read_policy
from algorithms.contact.queue import TOLD_BY_OTHERS, NotNowError, Queue, QueueError
from algorithms.contact.standing import Terms
from algorithms.contact.store import ITEMS, Store
from algorithms.contact.suppression import Reason, add, barred
from graph.tokens import Keys
from tests.algorithms.contact_by_hand import allowed
from tests.algorithms.contact_world import DAY, NIGHT, NOON

ZONE = "Asia/Shanghai"
LOST = NOON - 20 * DAY
# Two loans of one human under two customer numbers, one of another; they have a third person in common.
LOANS = {"l": ("a", "d"), "m": ("b", "d"), "n": ("c", "e")}
NUMBERS = {"d": ["tel_d0000", "tel_d0001"], "e": ["tel_e0000"]}
NUMBERS_OF_NOBODY: list[tuple[str, str, bool, list[str]]] = [
    ("tel_new0", "debtor", False, []), ("tel_new1", "debtor", False, []),
    ("tel_both", "third_person", False, ["calls"]),
    ("tel_aunt", "third_person", True, ["emergency_contact"]), ("tel_book", "third_person", False, ["address_book"]),
]  # fmt: skip


class OpenVault:
    """Shows anything, for here it is only asked whether it may be shown."""

    def reveal(self, token: str, user: str, purpose: str) -> str:
        return f"plain {token}"


@dataclass
class Record:
    """What an onlooker writes down: each call with its debtor, and how it ended once that was told."""

    calls: list[dict[str, Any]] = field(default_factory=list)

    def history(self, debtor: str, before: int, barred: frozenset[str]) -> History:
        """The past of a debtor before a call of the record, as the rules want it."""
        made = [
            Attempt(call["at"], call["phone"], call["loan"],
                    call["to"] == "debtor" or call["outcome"] == Outcome.RIGHT_PERSON, call["outcome"])
            for call in self.calls[:before] if call["debtor"] == debtor and call["outcome"] is not None
        ]  # fmt: skip
        return History(tuple(made), frozenset(NUMBERS[debtor]), LOST, barred, ZONE)

    def asks(self, n: int) -> Call:
        """The call of the record, as the rules want it."""
        call = self.calls[n]
        return Call(call["phone"], call["loan"], call["to"], (ZONE,), call["related"], frozenset(call["sources"]))


def night(draw: Random, day: int) -> Night:
    """The leads of a night: most numbers for most loans, and the debtors' own numbers among them."""
    leads = []
    for loan, (applicant, person) in LOANS.items():
        own = [(phone, "debtor", False, []) for phone in NUMBERS[person]]
        for rank, (phone, to, related, sources) in enumerate(own + NUMBERS_OF_NOBODY, 1):
            if draw.random() < 0.8:
                leads.append({
                    "loan_id": loan, "applicant_id": applicant, "person_id": person, "rank": rank,
                    "phone": phone if phone in (*NUMBERS[person], "tel_both")
                    else f"{phone}_{person}",
                    "route": "known_contact", "via": [], "probability": draw.random(), "call_to": to,
                    "related": related, "sources": sources, "evidence": "[]", "holdout": False,
                })  # fmt: skip
    states = [
        {"loan_id": loan, "applicant_id": applicant, "person_id": person, "state": "lost", "lost_since": LOST,
         "numbers": NUMBERS[person], "overdue_cny": 1.0}
        for loan, (applicant, person) in LOANS.items()
    ]  # fmt: skip
    people = [{"applicant_id": applicant, "person_id": person, "name": None} for applicant, person in LOANS.values()]
    return Night(NIGHT + timedelta(days=day), leads, states, [], people)


def days_of_work(store: Store, keys: Keys, policies: list[str], draw: Random, steps: int) -> tuple[int, int]:
    """Let three collectors work at random; return how many calls were opened and how many the gate denied."""
    queue = Queue(store, Terms(tuple(read_policy(name) for name in policies), ZONE), keys, OpenVault())  # type: ignore[arg-type]
    record, now, opened, denied, needless, nights = Record(), NOON, 0, 0, 0, 0
    load(store, night(draw, nights), now)
    for _ in range(steps):
        now += timedelta(minutes=draw.choice((0, 0, 1, 1, 5, 20, 90, 400)), microseconds=1)
        collector = draw.choice(("zhang", "li", "wang"))
        waiting = [n for n, call in enumerate(record.calls) if call["outcome"] is None]
        what = draw.random()
        if what < 0.40 and waiting:
            call = record.calls[draw.choice(waiting)]
            outcome = draw.choice([*Outcome, *[Outcome.NO_ANSWER] * 5, *[Outcome.THIRD_PERSON] * 2])
            if outcome in (Outcome.RIGHT_PERSON, Outcome.REFUSED) and draw.random() < 0.7:
                outcome = Outcome.NO_ANSWER
            try:
                queue.outcome(call["id"], outcome, collector, now)
            except QueueError:
                assert collector != call["collector"]
                assert now - call["at"] < TOLD_BY_OTHERS
                continue
            call["outcome"] = outcome
            assert not queue.outcome(call["id"], outcome, collector, now).changed
        elif what < 0.42:
            add(store, draw.choice(("tel_both", "tel_aunt_d", "tel_new0_e")), Reason.ASKED, "stf_1", now)
        elif what < 0.45:
            nights += 1
            load(store, night(draw, nights), now)
        else:
            item = chosen(store, queue, collector, now, draw)
            if item is None:
                continue
            queue.assign(item["lead_id"], collector, "chief", now)
            debtor = LOANS[item["loan_id"]][1]
            asked = {
                "at": now, "phone": item["phone"], "loan": item["loan_id"], "debtor": debtor, "to": item["call_to"],
                "related": item["related"], "sources": item["sources"], "outcome": None, "collector": collector,
            }  # fmt: skip
            with store.reading() as connection:
                asked["barred"] = barred(connection)
            record.calls.append(asked)
            n = len(record.calls) - 1
            by_hand = allowed(record.history(debtor, n, asked["barred"]), record.asks(n), policies, now)
            try:
                asked["id"] = queue.open(item["lead_id"], collector, "case 17", now).call_id
                if any(call.get("id") == asked["id"] for call in record.calls[:n]):  # shown once more, and no new call
                    record.calls.pop()
                    continue
            except QueueError as refused:
                record.calls.pop()
                if isinstance(refused, NotNowError) and refused.rule is not None:
                    denied += 1
                    needless += by_hand and not (item["phone"] == "tel_both" and refused.rule == "unanswered_per_day")
                continue
            opened += 1
            assert by_hand, asked
            still = [call for call in record.calls if call["outcome"] is None]
            for key in ("debtor", "phone", "collector"):
                assert len({call[key] for call in still}) == len(still), key
    assert not needless  # nor is a call denied that the rules allow
    # With all that became known later, too: no call was made that its past forbids.
    for n, call in enumerate(record.calls):
        assert allowed(record.history(call["debtor"], n, call["barred"]), record.asks(n), policies, call["at"]), call
    return opened, denied


def chosen(store: Store, queue: Queue, collector: str, now: datetime, draw: Random) -> dict[str, Any] | None:
    """A lead that is offered, or any at all: also one that must be refused."""
    with store.reading() as connection:
        items = [
            dict(row) for row in connection.execute(ITEMS.select().order_by(ITEMS.c.loan_id, ITEMS.c.phone)).mappings()
        ]
    if draw.random() < 0.6:
        try:
            offered = {lead.lead_id for lead in queue.offers(collector, now, 5).leads}
        except QueueError:
            return None
        items = [item for item in items if item["lead_id"] in offered]
    return draw.choice(items) if items else None


@pytest.mark.parametrize("policies", [["cn"], ["us"], ["cn", "us"]], ids="+".join)
def test_after_any_sequence_of_calls_and_outcomes_no_policy_is_violated(tmp_path: Path, policies: list[str]) -> None:
    keys = Keys.create(tmp_path / "keys.json")
    opened = denied = 0
    for seed in range(2):
        store = Store(f"sqlite:///{tmp_path / f'{seed}.db'}")
        one, other = days_of_work(store, keys, policies, Random(seed), 120)
        opened, denied = opened + one, denied + other
    assert opened > 15
    assert denied > 15


def test_the_same_holds_on_postgresql(tmp_path: Path, store: Store) -> None:
    assert days_of_work(store, Keys.create(tmp_path / "keys.json"), ["cn"], Random(99), 150)[0] > 5
