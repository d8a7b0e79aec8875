"""What a reader sees of a node or a link: shortened on the server by role, before it leaves in any channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from explorer.rights import Reader, Shows, shows
from graph.vault import is_token

_MONEY = frozenset({"amount_cny", "principal_cny", "exposure_cny", "overdue_cny", "due_cny", "paid_cny"})
_SCORES = frozenset({"score", "probability"})
_PERSONAL = frozenset({"gender", "birth_year", "contact_name", "relation", "emergency"})


def short(id: str) -> str:
    """Return what stands for a node on the screen: a token by its kind and last four digits, another id whole.

    No digit of the value behind a token is in it: two can be told apart, none can be dialed or looked up.
    """
    return f"{id[:3]} ••••{id[-4:]}" if is_token(id) else id


def may_see_node(user: Reader | None, label: str) -> bool:
    """Return whether the reader sees nodes of a label at all."""
    seen = shows(user)
    return Shows.LINKS in seen and (label != "Ring" or Shows.RINGS in seen) and (
        label not in ("Person", "Company") or Shows.PERSONS in seen
    )  # fmt: skip


def may_see_link(user: Reader | None, relationship: str) -> bool:
    """Return whether the reader sees relationships of a type at all."""
    seen = shows(user)
    return Shows.LINKS in seen and (relationship != "MEMBER_OF" or Shows.RINGS in seen)


def visible(user: Reader | None, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties that the reader sees, tokens among them shortened; the others are left out."""
    seen = shows(user)
    hidden: frozenset[str] = frozenset()
    if Shows.MONEY not in seen:
        hidden |= _MONEY
    if Shows.SCORES not in seen:
        hidden |= _SCORES
    if Shows.PERSONS not in seen:
        hidden |= _PERSONAL
    return {
        name: short(value) if isinstance(value, str) else value
        for name, value in properties.items()
        if name not in hidden and value is not None
    }
