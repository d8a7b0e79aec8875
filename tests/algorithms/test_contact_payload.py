"""What a collector is shown: nothing about a debt can be in a lead to a third person."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

from algorithms.contact.payload import (
    SCRIPTS,
    DebtorCall,
    DebtorLead,
    PastCall,
    Script,
    ThirdPersonCall,
    ThirdPersonLead,
    as_json,
    debtor_lead,
    label,
    third_person_lead,
)  # fmt: skip
from tests.algorithms.contact_world import NOON

# Of a debt in names of fields and in words; the names of the lender's rows among them.
DEBT = re.compile(
    r"loan|debt|lend|borrow|credit|amount|principal|due|cny|money|pay|repay|score|probab|ring|rank|evidence|via|applicant"
    r"|贷|债|欠|逾期|借|还款|金额|催|款项",
    re.IGNORECASE,
)
ITEM = {
    "lead_id": "lead_5f2c", "loan_id": "L-wei", "applicant_id": "A-wei", "person_id": "per_wei", "name": "nam_1",
    "phone": "tel_0123456789abcdef0123456789ab3f2a", "as_of_date": date(2026, 6, 30), "rank": 7,
    "route": "known_contact", "via": ["dev_via"], "probability": 0.123456, "call_to": "third_person", "related": True,
    "sources": ["emergency_contact"], "overdue_cny": 98765.43,
    "evidence": [{"text": "Overdue 98765.43 CNY on L-wei.", "nodes": [], "relationships": []}],
}  # fmt: skip


def leaves(of: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Every field that can be reached from a type, with its type; unions, tuples and dataclasses are gone through."""
    if is_dataclass(of):
        for each in fields(of):
            yield from leaves(get_type_hints(of)[each.name], f"{at}.{each.name}")
    elif get_origin(of) in (Union, UnionType, tuple):
        for each in get_args(of):
            if each is not ...:
                yield from leaves(each, at)
    else:
        yield at, of


@pytest.mark.parametrize("payload", [ThirdPersonLead, ThirdPersonCall])
def test_no_field_that_a_third_person_s_lead_leads_to_is_about_a_debt(payload: type) -> None:
    found = list(leaves(payload))
    assert len(found) >= 8
    for name, kind in found:
        assert not DEBT.search(name), name
        # Only texts, moments and choices: nothing open-ended, in which anything could be carried along.
        assert kind in (str, NoneType) or issubclass(kind, Enum) or kind.__name__ == "datetime", (name, kind)


def test_the_walk_does_find_the_debt_in_a_debtor_s_lead() -> None:
    assert {name for name, _ in leaves(DebtorCall) if DEBT.search(name)} == {
        ".lead.loan_id", ".lead.overdue_cny", ".lead.probability", ".lead.evidence",
    }  # fmt: skip


def test_nothing_of_the_debt_is_in_what_is_given_out_about_a_third_person() -> None:
    lead = third_person_lead(ITEM, allowed_until=NOON, next_allowed_at=NOON)
    call = ThirdPersonCall("call_1", lead, "+8613800138000", "韦", NOON)
    for told in (as_json(lead), as_json(call)):
        assert not [value for value in ("L-wei", "A-wei", "98765", "0.123", "dev_via", ITEM["phone"]) if value in told]
        assert not DEBT.search(told)
        assert json.loads(told)


def test_neither_are_the_words_for_third_persons_about_a_debt() -> None:
    words = SCRIPTS[Script.ASK_TO_BE_CALLED]
    assert not DEBT.search(words.zh + words.en)
    for route in ("known_contact", "intermediary", "a route of later days"):
        for sources, related in ((["emergency_contact"], True), (["calls"], True), (["calls"], False)):
            row = ITEM | {"route": route, "sources": sources, "related": related}
            assert not DEBT.search(as_json(third_person_lead(row)))


def test_a_debtor_s_lead_says_the_loan_what_is_overdue_and_why() -> None:
    lead = debtor_lead(ITEM | {"route": "own_new_number"})
    assert isinstance(lead, DebtorLead)
    assert (lead.loan_id, lead.overdue_cny, lead.evidence) == ("L-wei", 98765.43, ("Overdue 98765.43 CNY on L-wei.",))


def test_a_label_is_no_part_of_a_number_and_a_plain_number_is_in_no_representation() -> None:
    assert label("tel_0123456789abcdef0123456789ab3f2a") == "••••3f2a"
    call = ThirdPersonCall("call_1", third_person_lead(ITEM), "+8613800138000", "韦", NOON)
    assert "138" not in repr(call)
    assert "韦" not in repr(call)


def test_times_are_told_in_utc() -> None:
    assert json.loads(as_json(PastCall(NOON, "••••3f2a", None, True)))["at"] == "2026-07-01T04:00:00Z"
