"""Borrowers who are overdue and cannot be reached, each with the route that would find them, or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ingest.synthetic.books import nickname, relative_phone
from ingest.synthetic.credit import Loans, new_number
from ingest.synthetic.population import Block, same_human
from ingest.synthetic.settings import DAY

REFUSED, NO_ANSWER, INVALID, RIGHT = 2, 3, 4, 0


@dataclass(frozen=True)
class Case:
    """One lost borrower: the loan's index, the applicant, and when the known number fell silent."""

    loan: int
    who: int
    at: int


Found = tuple[str, int, bool]  # route, right number (0 = nobody knows one), whether it may be handed out as a lead


def _own(block: Block, case: Case, in_old_handset: bool) -> int:
    who = np.array([case.who])
    new_number(block, who, np.array([case.at]), in_old_handset)
    return int(block.numbers.mobile(block.persons(who), 1)[0])


def _friends(block: Block, case: Case, count: int) -> Any:
    """People of the block who applied before the borrower fell silent and are now noted as friends."""
    p = block.people
    free = np.flatnonzero(~p.reserved & ~p.fraud & (p.applied < case.at) & (np.arange(block.size) != case.who))
    friends = block.rng.choice(free, size=min(count, len(free)), replace=False)
    name = nickname(p.name[[case.who]])[0]
    if len(friends):
        block.contact(friends, p.phone[case.who], name, "address_book", False, p.applied[friends])
    return friends


def _same_handset(block: Block, case: Case) -> Found:
    p, who = block.people, case.who
    new = _own(block, case, True)
    iccid = block.numbers.iccid(block.persons(who), 1)
    block.add("devices", owner=who, device=p.device[who], imei=p.imei[who], iccid=iccid, handset=p.handset[who],
              at=case.at + np.arange(1, 4) * 2 * DAY, known_from=0)  # fmt: skip
    return "own_new_number", new, True


def _reapplied(block: Block, case: Case) -> Found:
    p, who = block.people, np.array([case.who])
    if not block.spares:
        return "none", 0, False
    again = np.array([block.spares.pop()])
    same_human(block, who, again)
    p.applied[again] = case.at + int(block.rng.integers(5, 25)) * DAY
    p.phone_opened[again] = case.at
    for place in (0, 1):
        block.contact(again, relative_phone(block, who, place), "妈妈", "parent", True, p.applied[again])
    return "own_new_number", int(p.phone[again[0]]), True


def _friends_book(block: Block, case: Case) -> Found:
    new = _own(block, case, False)
    friends = _friends(block, case, 3)
    if len(friends):
        captured = case.at + block.rng.integers(3, 25, len(friends)) * DAY
        block.contact(friends, new, nickname(block.people.name[[case.who]])[0], "address_book", False, captured)
    return "own_new_number", new, True


def _calling_circle(block: Block, case: Case) -> Found:
    p, rng = block.people, block.rng
    new = _own(block, case, False)
    friends = _friends(block, case, 6)
    for number, sign in ((int(p.phone[case.who]), -1), (new, 1)):
        caller = np.repeat(friends, 4)
        at = case.at + sign * rng.integers(3_600, 28 * DAY, len(caller))
        if len(caller):
            block.call(p.phone[caller], number, at, rng.integers(20, 400, len(caller)), p.applied[caller])
    return "own_new_number", new, True


def _recycled(block: Block, case: Case) -> Found:
    p, s = block.people, block.settings
    opened = case.at + (s.recycle_after_days + 1) * DAY
    stranger = block.numbers.id_code(block.persons(case.who) + 10**8)  # no applicant
    for holder, iccid, start, closed, at in (
        (p.id_code[case.who], p.iccid[case.who], p.phone_opened[case.who], case.at, case.at),
        (stranger, block.numbers.iccid(block.persons(case.who), 2), opened, -1, opened + DAY),
    ):
        block.add("phones", owner=case.who, phone=p.phone[case.who], holder=holder, iccid=iccid, imei=-1,
                  opened=start, closed=closed, at=at)  # fmt: skip
    return "known_contact", _relative(block, case, 1), True


def _relative(block: Block, case: Case, place: int) -> int:
    """Number of a close outsider with whom the borrower spoke often before falling silent, named at the application."""
    p, who = block.people, np.array([case.who])
    phone = int(relative_phone(block, who, place)[0])
    relation, name = {0: ("spouse", "老婆"), 1: ("parent", "妈妈"), 5: ("colleague", "主管")}[place]
    block.contact(who, phone, name, relation, True, p.applied[who])
    block.call(p.phone[case.who], phone, p.applied[case.who] - np.arange(1, 13) * 2 * DAY, 180, p.applied[case.who])
    return phone


def _attempts(block: Block, case: Case, phone: int, outcome: int, count: int = 2) -> None:
    last = block.settings.end - 1
    at = np.minimum(case.at + (12 + np.arange(count) * 3) * DAY, last - np.arange(count))
    block.add("contact_attempts", loan=case.loan, phone=phone, at=at, outcome=outcome)


def _emergency_false(block: Block, case: Case) -> Found:
    p = block.people
    _attempts(block, case, int(relative_phone(block, np.array([case.who]), 1)[0]), INVALID)
    friends = _friends(block, case, 1)
    if not len(friends):
        return "known_contact", _relative(block, case, 0), True
    friend = int(friends[0])
    block.contact(case.who, p.phone[friend], nickname(p.name[[friend]])[0], "address_book", False, p.applied[case.who])
    at = np.maximum(case.at - np.arange(1, 9) * 3 * DAY, p.applied[friend] - 20 * DAY)
    block.call(p.phone[friend], p.phone[case.who], at, 150, p.applied[friend])
    return "intermediary", int(p.phone[friend]), True


def _family(block: Block, case: Case) -> Found:
    return "known_contact", _relative(block, case, int(block.rng.integers(0, 2))), True


def _colleague(block: Block, case: Case) -> Found:
    p, who = block.people, np.array([case.who])
    p.emergency[who] = 0
    landlord = relative_phone(block, who, 7)
    block.contact(who, landlord, "房东", "other", True, p.applied[who])
    return "intermediary", _relative(block, case, 5), True


def _no_trace(block: Block, case: Case) -> Found:
    for place in range(4):  # nobody near picks up either
        _attempts(block, case, int(relative_phone(block, np.array([case.who]), place)[0]), NO_ANSWER)
    return "none", 0, False


def _inside_ring(block: Block, case: Case) -> Found:
    """Leave the borrower only the ring's own members to ask."""
    p, rings = block.people, block.truth.rings
    ring = next(r[0] for r in rings if r[2] == case.who)
    p.book[case.who], p.calls[case.who] = 0, 0
    others = np.array([r[2] for r in rings if r[0] == ring and r[2] != case.who])
    names = nickname(p.name[others]).to_numpy()
    block.contact(case.who, p.phone[others], names, "address_book", False, p.applied[case.who])
    return "none", 0, False


def _refused(block: Block, case: Case) -> Found:
    spouse = _relative(block, case, 0)
    _attempts(block, case, spouse, REFUSED, 1)
    return "known_contact", spouse, False


def _reachable(block: Block, case: Case) -> Found:
    own = int(block.people.phone[case.who])
    at = np.array([block.settings.end - 2 * DAY - 40_000])
    block.add("contact_attempts", loan=case.loan, phone=own, at=at, outcome=RIGHT)
    return "none", own, False


CASES: dict[str, Callable[[Block, Case], Found]] = {
    "new_number_same_handset": _same_handset,
    "reapplied_new_number": _reapplied,
    "new_number_in_friends_book": _friends_book,
    "new_number_same_calling_circle": _calling_circle,
    "recycled_to_stranger": _recycled,
    "emergency_false_or_silent": _emergency_false,
    "family_reachable": _family,
    "only_colleague_or_landlord": _colleague,
    "contacts_inside_ring": _inside_ring,
    "moved_detained_dead": _no_trace,
    "contact_refused_before": _refused,
    "reachable_after_all": _reachable,
}


def ready_borrowers(block: Block) -> None:
    """Reserve people who may come back under a new number and, in block 0, one sure defaulter per case.

    Without the latter a small world would lack cases.
    """
    p, s = block.people, block.settings
    spares = block.take(2 + block.size // 500)
    p.approved[spares], p.bad[spares] = False, False
    block.spares = [int(i) for i in spares]
    if block.number:
        return
    chosen = block.take(len(CASES), applied_before=s.end - 40 * DAY)
    days = block.rng.integers(200, 260, len(chosen))
    p.applied[chosen] = block.daytime(s.end // DAY - days)
    p.phone_opened[chosen] = np.minimum(p.phone_opened[chosen], p.applied[chosen] - 200 * DAY)
    p.bad[chosen], p.bad_from[chosen], p.approved[chosen] = True, 1, True


def plant_lost_contacts(block: Block, loans: Loans) -> dict[int, str]:
    """Make the set share of the overdue borrowers unreachable and return the case of each such loan."""
    p, s, rng = block.people, block.settings, block.rng
    overdue = np.flatnonzero(loans.overdue(30, s.end) & (loans.turn == 0))
    old = loans.missed[overdue] <= s.end - (s.recycle_after_days + 45) * DAY
    lookalike = np.isin(loans.owner[overdue], [g[2] for g in block.truth.lookalikes])
    honest = ~p.fraud[loans.owner[overdue]] & (p.changed[loans.owner[overdue]] >= s.end) & ~lookalike
    ready = p.reserved[loans.owner[overdue]]
    shuffled = [int(i) for i in rng.permutation(overdue[honest & old & ~ready])]
    circular = {r[2] for r in block.truth.rings if r[1] == "circular_emergency_contacts"}
    pools = {
        "ring": [int(i) for i in overdue if int(loans.owner[i]) in circular],
        "old": [int(i) for i in overdue[honest & old & ready]] + shuffled,
    }
    pools["any"] = pools["old"] + [int(i) for i in rng.permutation(overdue[honest & ~old])]
    wanted = max(len(CASES) if block.number == 0 else 0, int(rng.binomial(len(overdue), s.lost_share)))
    names, lost = list(CASES), dict[int, str]()
    turn = 0 if block.number == 0 else int(rng.integers(len(names)))
    for step in range(wanted):
        name = names[(turn + step) % len(names)]
        pool = pools["ring" if name == "contacts_inside_ring" else "old" if name == "recycled_to_stranger" else "any"]
        loan = next((i for i in pool if i not in lost), None)
        if loan is None or (name == "reapplied_new_number" and not block.spares):
            continue
        who = int(loans.owner[loan])
        p.reserved[who] = True
        case = Case(loan, who, int(loans.missed[loan]) - int(rng.integers(0, 5)) * DAY)
        if name != "reachable_after_all":
            p.silent[who] = case.at
        route, number, allowed = CASES[name](block, case)
        lost[loan] = name
        block.truth.lost.append((loan_id(block, loans, loan), who, name, route, str(number) if number else "", allowed))
    return {loan: name for loan, name in lost.items() if name != "reachable_after_all"}


def loan_id(block: Block, loans: Loans, loan: int) -> str:
    """The loan's number as written in the landing files."""
    return f"L{block.first + int(loans.owner[loan]):09d}-{int(loans.turn[loan]) + 1}"
