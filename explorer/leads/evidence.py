"""The sentences of a lead to the borrower, which the night writes in English, in the reader's language."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from explorer.words import say

_ON = r"(?P<on>\d{4}-\d\d-\d\d)"
_COUNT = r"(?P<count>\d+)"
_KNOWN = {
    "evidence_answered": rf"The borrower answered on this number on {_ON}; nobody has tried it since\.",
    "evidence_own_record": rf"The number has stood under the borrower's own name since {_ON}\.",
    "evidence_id_number": rf"Somebody with the borrower's id number applied with this number on {_ON}\.",
    "evidence_match": rf"Another system says that whoever applied with this number on {_ON} is the borrower\.",
    "evidence_bank_card": rf"Somebody with the borrower's bank card applied with this number on {_ON}\.",
    "evidence_name": rf"Somebody of the borrower's name and birth date applied with this number on {_ON}\.",
    "evidence_handset": rf"This number's card has been in the borrower's handset since {_ON}\.",
    "evidence_handset_shared": r"This number's card has been in the borrower's handset, which "
    rf"{_COUNT} other (?:person uses|people use) too, since {_ON}\.",
    "evidence_books": rf"{_COUNT} (?:person who knows|people who know) the borrower (?:has|have) since noted this "
    r"number under the name that stood beside the old one\.",
    "evidence_beside": r"An address book holds this number beside the old one, under one name\.",
    "evidence_circle": rf"{_COUNT} of those with whom the old number talked talk with this number since, "
    r"(?P<share>\d+%) of its calls before\.",
    "evidence_failed": rf"{_COUNT} calls? to it failed before\.",
    "evidence_invalid": r"It was invalid when last called\.",
    "evidence_passed_on": r"Its carrier says that it changed hands since\.",
    "evidence_silent": r"No call of it is known of the last 30 days\.",
}
_PATTERNS = [(key, re.compile(pattern)) for key, pattern in _KNOWN.items()]


def told(text: str) -> str:
    """Return a sentence of the night in the reader's language; one that is not known here stays as it is."""
    for key, pattern in _PATTERNS:
        if found := pattern.fullmatch(text):
            return say(f"leads.{key}", **{name: _value(name, value) for name, value in found.groupdict().items()})
    return text


def _value(name: str, text: str) -> Any:
    match name:
        case "on":
            return dt.date.fromisoformat(text)
        case "count":
            return int(text)
    return text
