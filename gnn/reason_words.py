"""What a column or a link says, in words an analyst reads."""

from __future__ import annotations

import calendar

import numpy as np

from algorithms.features.catalogue import FEATURES, KINDS
from gnn.data.own_features import OPTIONAL

_MEANING = {feature.name: feature.meaning for feature in FEATURES}
_KIND = {kind.name: kind.meaning for kind in KINDS}
_BLANK = {f"{column}_blank": column for column in (*OPTIONAL, "birth_year")}
_COLUMN = {kind.column: kind.meaning for kind in KINDS if kind.name != "listed_by"} | {
    "id_number": "identity number", "birth_date": "date of birth", "birth_year": "year of birth",
    "amount_cny": "amount",
}  # fmt: skip
_FACT = {
    "fraud": "a fraud verdict", "normal": "a verdict that it is honest", "missed": "a missed first instalment",
    "paid": "a paid first instalment",
}  # fmt: skip


UNKNOWN_FACTS = "no verdict and no instalment known of the applicant"
_BOOLEAN = {feature.name for feature in FEATURES if feature.dtype == "boolean"}
_GENDER = {-1.0: "female", 1.0: "male"}
_AROUND = {
    "SUBMITTED": "applications", "FUNDED": "loans", "USES_PHONE": "own numbers", "USES_DEVICE": "handsets",
    "HOLDS_SIM": "SIM cards", "LISTS_CONTACT": "address books", "CALLED": "calls", "LIVES_AT": "addresses",
    "WORKS_AT": "employers", "PAID_WITH": "bank cards", "SEEN_ON": "networks", "REFERRED_BY": "channels",
    "GUARANTEES": "guarantees", "SAME_PERSON": "matches with another person", "OWNS_ACCOUNT": "accounts",
    "TRANSFERRED": "transfers", "HAS_PHONE": "company numbers",
}  # fmt: skip


def of_column(name: str, value: float) -> str:
    """Return what an application's column and its value say; columns that tell one thing together get one text."""
    if name in ("applied_hour_sin", "applied_hour_cos"):
        return "the hour of the application"
    if name in _BLANK:
        column = _BLANK[name]
        stated = _COLUMN.get(column, column.replace("_", " "))
        return f"no {stated} stated" if value else f"{stated} stated"
    meaning = _MEANING.get(name, name.replace("_", " "))
    if np.isnan(value):
        return f"{meaning}: not known"
    match name:
        case "amount_log1p_cny":
            return f"asks for {np.expm1(value):,.0f} CNY" if value else "no amount stated"
        case "applied_weekday":
            return f"made on a {calendar.day_name[int(value)]}"
        case "blank_count":
            return f"fields left empty: {value:.0f}"
        case "age_years":
            return f"the applicant is {value:.0f} years old" if value else "age not stated"
        case "gender":
            return f"gender stated: {_GENDER.get(value, 'none')}"
    if name in _BOOLEAN:
        return f"{meaning}: {'yes' if value else 'no'}"
    if name.endswith("_ratio"):
        return f"{meaning}: {value:.0%}"
    whole = name.endswith("_count") or value >= 10
    return f"{meaning}: {value:,.0f}" if whole else f"{meaning}: {value:,.2g}"


def of_fact(name: str) -> str:
    """Return what a fact known of the applicant says."""
    return f"known of the applicant: {_FACT.get(name, name)}"


def of_links(relation: str) -> str:
    """Return what links of one relation say, in either direction."""
    kind = relation.removeprefix("rev_").removeprefix("STATES_")
    meaning = _KIND.get(kind, kind.replace("_", " "))
    if relation == "STATES_person":
        return "the applicant's other relations"
    if relation.startswith("STATES_"):
        return f"the {meaning} it names"
    if relation.startswith("rev_STATES_"):
        return f"other applications that name something around it: {meaning}"
    return f"{_AROUND.get(kind, kind)} around it"
