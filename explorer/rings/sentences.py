"""The evidence of a night in the reader's language: the lake holds the English sentence, as the rules wrote it.

`words/en/evidence.yml` has each sentence that the shipped rules can say, with its gaps; the catalog of the other
language says the same. A sentence of a lender's own rule is in no catalog and is shown as it was written.
"""

from __future__ import annotations

import re
from functools import cache

from explorer.words import catalog, has, language, say

_GAP = re.compile(r"\\\{(\w+)\\\}")
_NAMES = ("named", "hub_kind")
_FIGURE = r"(?:[\d.,]*\d%?(?: (?:days|hours|minutes))?|unknown)"
_SPAN = re.compile(r"([\d,]+) (days|hours|minutes)")


def _spread(gap: re.Match[str]) -> str:
    """Return what a gap may hold: a name where it is one, else a figure as the rules write it."""
    return f"(?P<{gap[1]}>{'[^;.]+' if gap[1] in _NAMES else _FIGURE})"


@cache
def _patterns(prefix: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    found = []
    for key, text in catalog("en", "evidence").items():
        if key.startswith(prefix):
            spread = _GAP.sub(_spread, re.escape(text))
            found.append((key, re.compile(spread, re.IGNORECASE)))
    return tuple(found)


def in_words(text: str) -> tuple[str, str]:
    """Return a sentence of the evidence for the reader, and the language that it is in."""
    if language() == "en":
        return text, "en"
    found = _said(text, "says.") or _of_one(text)
    return (found, language()) if found else (text, "en")


def _said(text: str, prefix: str) -> str | None:
    for key, pattern in _patterns(prefix):
        match = pattern.fullmatch(text)
        if match:
            return say(f"evidence.{key}", **{name: _value(name, value) for name, value in match.groupdict().items()})
    return None


def _of_one(text: str) -> str | None:
    """Return what is said of one member, a list of facts with semicolons between them; None if a part is unknown."""
    parts = [_said(part, "one.") for part in text.removesuffix(".").split("; ")]
    return None if None in parts else say("evidence.joined").join(map(str, parts)) + say("evidence.end")


def _value(name: str, value: str) -> str:
    if name == "named":
        return _said(value, "named.") or value
    if name == "hub_kind" and has(f"canvas.hub.{value}"):
        return say(f"canvas.hub.{value}")
    return _SPAN.sub(lambda span: say(f"evidence.span.{span[2]}", number=span[1]), value)
