"""Every sentence on the screen, in the reader's language: `say("rings.title")`, `say("rings.count", count=3)`.

A page's words lie in `words/en/<page>.yml` and `words/zh/<page>.yml`. A value in a sentence is written as the language
writes it: numbers, days and moments by babel. Where a sentence depends on a number, the entry has a form each for
`one` and `other` (the plural forms of CLDR), chosen by the value named `count`.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from babel import Locale, dates, numbers
from flask import g, has_request_context

LANGUAGES = ("zh", "en")
_LOCALES = {"zh": Locale.parse("zh_Hans_CN"), "en": Locale.parse("en")}
_FOLDER = Path(__file__).parent


class WordMissingError(KeyError):
    """A key that the catalog of a language does not have."""


@cache
def catalog(language: str, page: str) -> dict[str, Any]:
    """Return the words of one page in one language, by key; none where there is no file."""
    path = _FOLDER / language / f"{page}.yml"
    return yaml.safe_load(path.read_text()) or {} if path.exists() else {}


def language() -> str:
    """Return the reader's language: their choice, else what their browser asks for; outside a request English."""
    chosen = g.get("language") if has_request_context() else None
    return chosen if chosen in LANGUAGES else "en"


def say(key: str, /, *, in_language: str | None = None, **values: Any) -> str:
    """Return a sentence in the reader's language with its values filled in.

    Raises:
        WordMissingError: the language has no such key.
    """
    spoken = in_language or language()
    page, _, name = key.partition(".")
    try:
        entry = catalog(spoken, page)[name]
        if isinstance(entry, dict):
            form = _LOCALES[spoken].plural_form(values.get("count", 0))
            entry = entry.get(form, entry["other"])
    except KeyError:
        raise WordMissingError(f"words/{spoken}/{page}.yml lacks {name}.") from None
    return str(entry).format(**{name: written(value, spoken) for name, value in values.items()}) if values else entry


def has(key: str, in_language: str | None = None) -> bool:
    """Return whether there is such a key: for names that data bring, such as a typology."""
    page, _, name = key.partition(".")
    return name in catalog(in_language or language(), page)


def written(value: Any, in_language: str | None = None) -> str:
    """Return a number, a day or a moment (in the reader's zone) as the language writes it; a text as it is."""
    locale = _LOCALES[in_language or language()]
    match value:
        case None:
            return "—"
        case bool() | str():
            return str(value)
        case int() | float() | Decimal():
            return str(numbers.format_decimal(value, locale=locale))
        case dt.datetime():
            return moment(value, in_language)
        case dt.date():
            return str(dates.format_date(value, "medium", locale=locale))
    return str(value)


def moment(value: dt.datetime | None, in_language: str | None = None) -> str:
    """Return a moment to the minute in the zone of `CREDIT_GRAPH_ZONE`; one without a zone is taken for UTC."""
    if value is None:
        return "—"
    locale = _LOCALES[in_language or language()]
    here = local(value)
    return f"{dates.format_date(here.date(), 'medium', locale=locale)} {here:%H:%M}"


def local(value: dt.datetime) -> dt.datetime:
    """Return a moment in the zone of `CREDIT_GRAPH_ZONE`; one without a zone is taken for UTC."""
    zone = g.get("zone", "UTC") if has_request_context() else "UTC"
    aware = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
    return aware.astimezone(dates.get_timezone(zone))


def money(value: float | Decimal | None, in_language: str | None = None) -> str:
    """Return an amount in CNY with two decimals."""
    if value is None:
        return "—"
    return str(numbers.format_currency(value, "CNY", locale=_LOCALES[in_language or language()]))


def score(value: float | None, in_language: str | None = None) -> str:
    """Return a score in [0, 1] with two decimals."""
    if value is None:
        return "—"
    return str(numbers.format_decimal(value, "0.00", locale=_LOCALES[in_language or language()]))


def ratio(value: float | None, digits: int = 0, in_language: str | None = None) -> str:
    """Return a share of one in percent."""
    if value is None:
        return "—"
    pattern = "#,##0%" if digits == 0 else f"#,##0.{'0' * digits}%"
    return str(numbers.format_percent(value, pattern, locale=_LOCALES[in_language or language()]))
