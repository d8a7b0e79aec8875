"""Applications become loans, loans instalments; who stops paying is called, and some verdicts arrive late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ingest.synthetic.books import relative_phone
from ingest.synthetic.numbering import Ints
from ingest.synthetic.population import NEVER, Block, Bools
from ingest.synthetic.settings import DAY

Arrays = dict[str, Any]
MONTH = 30 * DAY
OUTCOMES = np.array(["right_person", "third_person", "refused", "no_answer", "invalid_number"])


@dataclass(frozen=True)
class Loans:
    """One entry per loan: applicant, which of his applications, moments, money, and the first unpaid due."""

    owner: Ints
    turn: Ints
    disbursed: Ints
    principal: Ints
    term: Ints
    missed: Ints  # local second of the first unpaid due; NEVER for a good loan

    def overdue(self, days: int, now: int) -> Bools:
        """Loans whose first unpaid instalment fell due at least so many days before `now`."""
        return self.missed <= now - days * DAY


def application_rows(block: Block) -> Arrays:
    """Owner, turn (0 = first), at and amount of every application; ring members apply once under one number."""
    p, s, rng = block.people, block.settings, block.rng
    first = np.arange(block.size, dtype=np.int64)
    again = (rng.random(block.size) < s.second_application_share) & ~p.reserved & ~p.bad
    at = p.applied + rng.integers(60 * DAY, 300 * DAY, block.size)
    second = np.flatnonzero(again & (at < s.end))
    return {
        "owner": np.concatenate([first, second]),
        "turn": np.concatenate([np.zeros_like(first), np.ones_like(second)]),
        "at": np.concatenate([p.applied, at[second]]),
        "amount": np.concatenate([p.amount, p.amount[second] // 200 * 100 + 1_000]),
    }


def fund(block: Block, applications: Arrays) -> Loans:
    """Loans of the approved applications, paid out a day or so later and before the world ends."""
    p, rng = block.people, block.rng
    owner, turn = applications["owner"], applications["turn"]
    disbursed = applications["at"] + rng.integers(3_600, 2 * DAY, len(owner))
    term = rng.choice(np.array([3, 6, 12]), len(owner), p=[0.3, 0.35, 0.35])
    keep = p.approved[owner] & (disbursed < block.settings.end)
    bad = p.bad[owner] & (turn == 0)
    missed = np.where(bad, disbursed + np.minimum(p.bad_from[owner], term) * MONTH, NEVER)
    return Loans(owner[keep], turn[keep], disbursed[keep], applications["amount"][keep], term[keep], missed[keep])


def loan_versions(block: Block, loans: Loans) -> Arrays:
    """Loan index, status and moment of each state a loan went through: active, then overdue or closed."""
    every = np.arange(len(loans.owner), dtype=np.int64)
    overdue = every[loans.overdue(30, block.settings.end - 1)]
    closing = loans.disbursed + loans.term * MONTH + 21 * DAY
    closed = every[(loans.missed == NEVER) & (closing < block.settings.end)]
    return {
        "loan": np.concatenate([every, overdue, closed]),
        "status": np.repeat(["active", "overdue", "closed"], [len(every), len(overdue), len(closed)]),
        "available": np.concatenate([loans.disbursed, loans.missed[overdue] + 30 * DAY, closing[closed]]),
    }


def repayment_versions(block: Block, loans: Loans) -> Arrays:
    """Instalments fallen due, first as they stood on the due day and once more when paid late; paid = -1: not paid."""
    rng, s = block.rng, block.settings
    count = len(loans.owner)
    loan = np.repeat(np.arange(count, dtype=np.int64), loans.term)
    turn = np.arange(len(loan), dtype=np.int64) - np.repeat(np.cumsum(loans.term) - loans.term, loans.term) + 1
    due = loans.disbursed[loan] + turn * MONTH
    late = rng.random(len(loan)) < s.late_share
    shift = np.where(late, rng.integers(DAY, 20 * DAY, len(loan)), -rng.integers(0, 3 * DAY, len(loan)))
    paid = np.where(due >= loans.missed[loan], -1, np.maximum(due + shift, loans.disbursed[loan]))
    fell = due < s.end
    loan, due, paid = loan[fell], due[fell], paid[fell]
    amount = np.round(loans.principal[loan] * 1.06 / loans.term[loan], 2)
    after = np.flatnonzero((paid > due) & (paid < s.end))
    first = {"loan": loan, "due": due, "paid": np.where(paid > due, -1, paid), "amount": amount, "available": due}
    second = {name: values[after] for name, values in first.items()} | {"paid": paid[after], "available": paid[after]}
    return {name: np.concatenate([first[name], second[name]]) for name in first}


def attempt_rows(block: Block, loans: Loans, lost: dict[int, str]) -> Arrays:
    """Collection calls of overdue loans: loan, phone, at, outcome; borrowers in `lost` (loan -> case) never answer."""
    p, s, rng = block.people, block.settings, block.rng
    chased = np.flatnonzero(loans.overdue(4, s.end))
    loan = np.repeat(chased, rng.integers(2, 7, len(chased)))
    span = np.minimum(s.end - loans.missed[loan] - 3 * DAY, 120 * DAY)
    at = block.daytime((loans.missed[loan] + 3 * DAY + (rng.random(len(loan)) * span).astype(np.int64)) // DAY)
    owner = loans.owner[loan]
    outcome = rng.choice(5, len(loan), p=[0.4, 0.05, 0.08, 0.44, 0.03])
    missing = np.array([int(i) in lost for i in loan], dtype=bool)
    outcome = np.where(missing, np.where(rng.random(len(loan)) < 0.7, 3, 4), outcome)
    stranger = np.array([lost.get(int(i)) == "recycled_to_stranger" for i in loan], dtype=bool)
    taken = loans.missed[loan] + (s.recycle_after_days + 1) * DAY  # from then on somebody else answers
    outcome = np.where(stranger & (at >= taken), 1, outcome)
    phone = p.phone[owner]
    other = (rng.random(len(loan)) < 0.2) & ~stranger  # somebody named at the application is called instead
    phone = np.where(other, relative_phone(block, owner, rng.integers(0, 3, len(loan))), phone)
    outcome = np.where(other, np.where(rng.random(len(loan)) < 0.5, 3, 1), outcome)
    blank: Arrays = {"loan": 0, "phone": 0, "at": 0, "outcome": 0}
    extra = block.extra("contact_attempts", blank)
    base = {"loan": loan, "phone": phone, "at": at, "outcome": outcome}
    rows = {name: np.concatenate([values, extra[name]]) for name, values in base.items()}
    kept = rows["at"] < s.end
    return {name: values[kept] for name, values in rows.items()}


def label_rows(block: Block) -> Arrays:
    """Owner, fraud verdict and moment of every label that arrives in time; a few verdicts are wrong."""
    p, s, rng = block.people, block.settings, block.rng
    share = np.where(p.fraud, s.labeled_fraud_share, s.labeled_share)
    low, high = s.label_delay_days
    at = p.applied + rng.integers(low * DAY, high * DAY, block.size)
    known = (rng.random(block.size) < share) & (at < s.end)
    verdict = p.fraud.copy()
    verdict ^= p.fraud & (rng.random(block.size) < s.label_wrong_share)
    # As many honest people called fraudsters as make that share of all fraud verdicts.
    wrong = s.label_wrong_share * s.fraud_among_labeled
    verdict |= ~p.fraud & (rng.random(block.size) < wrong)
    owner = np.flatnonzero(known)
    return {"owner": owner, "fraud": verdict[owner], "at": at[owner]}


def change_numbers(block: Block) -> None:
    """Let unreserved people take a second number at the yearly rate, more often in default; carriers report both."""
    p, s, rng = block.people, block.settings, block.rng
    rate = s.number_change_per_year * np.where(p.bad, s.number_change_default_factor, 1)
    wait = (rng.exponential(365 / np.maximum(rate, 1e-9), block.size) * DAY).astype(np.int64)
    changed = p.applied + 5 * DAY + np.minimum(wait, 40_000 * DAY)
    who = np.flatnonzero(~p.reserved & (changed < s.end))
    p.changed[who] = changed[who]
    new_number(block, who, p.changed[who])


def new_number(block: Block, who: Ints, at: Ints, in_old_handset: bool = True) -> None:
    """Note the carrier's rows: the old number closes, the new one opens, in the old handset or an unknown one."""
    p = block.people
    persons = block.persons(who)
    imei = p.imei[who] if in_old_handset else block.numbers.imei(persons, 2)
    holder = np.where(p.holder_known[who], p.id_code[who], -1)
    block.add("phones", owner=who, phone=p.phone[who], holder=holder, iccid=p.iccid[who], imei=p.imei[who],
              opened=p.phone_opened[who], closed=at, at=at)  # fmt: skip
    phone, iccid = block.numbers.mobile(persons, 1), block.numbers.iccid(persons, 1)
    block.add("phones", owner=who, phone=phone, holder=-1, iccid=iccid, imei=imei,
              opened=at, closed=-1, at=at + 3_600)  # fmt: skip
