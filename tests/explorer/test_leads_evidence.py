"""Each sentence that a night can say of the person's own number is said in the reader's language."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest
from flask import Flask, g

from algorithms.leads.sentences import evidence
from explorer.leads.evidence import told

AT = datetime(2026, 6, 21)
QUIET: dict[str, Any] = {
    "own": True, "person_id": "per_wei", "phone": "tel_1", "identity": None, "identity_at": AT, "via_identity": None,
    "handset_at": None, "via_handset": ["dev_1", "sim_1"], "handset_persons": 1, "book_count": 0, "beside_count": 0,
    "via_books": ["per_b"], "circle_count": 0, "circle_dice": 0.4, "via_circle": ["tel_2"], "circle_out": [True],
    "failed_tries": 0, "invalid": False, "passed_on": False, "alive": True,
}  # fmt: skip
IDENTITIES = ("answered", "own_record", "id_number", "match", "bank_card", "name_and_birth_date")
ROWS = [
    *({"identity": kind, "via_identity": ["per_x", "app_x"]} for kind in IDENTITIES),
    {"handset_at": AT}, {"handset_at": AT, "handset_persons": 2}, {"handset_at": AT, "handset_persons": 4},
    {"book_count": 1}, {"book_count": 3}, {"beside_count": 1}, {"circle_count": 2},
    {"failed_tries": 1}, {"failed_tries": 2}, {"invalid": True}, {"passed_on": True}, {"alive": False},
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(map(str, row)))
def test_a_sentence_of_the_night_is_said_in_chinese_and_in_english(row: dict[str, Any]) -> None:
    texts = [item["text"] for item in evidence(QUIET | row)]
    assert texts
    with Flask("words").test_request_context():
        for text in texts:
            g.language = "zh"
            chinese = told(text)
            assert re.search("[一-鿿]", chinese), text
            assert not re.search("[A-Za-z]{3}", chinese)
            g.language = "en"
            assert told(text).replace("Jun 21, 2026", "2026-06-21") == text


def test_an_unknown_sentence_stays_as_it_is() -> None:
    with Flask("words").test_request_context():
        g.language = "zh"
        assert told("A lender's own sentence.") == "A lender's own sentence."
