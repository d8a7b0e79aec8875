"""Distinct raw values to tokens, each canonical form, token and sealed vault entry made once by a worker.

Most of a night's time goes here: an address book holds a new number on almost every line. So values come in lists,
and a mainland mobile, the common case, is recognized by one expression over the whole list
(`graph.identifiers.canonical` says the same of it, which a test proves).
"""

from __future__ import annotations

import re
from collections.abc import Callable

import polars as pl
import pyarrow as pa

from graph.addresses import house
from graph.identifiers import Canonical, canonical, handset_batch
from graph.tokens import Keys, Kind
from graph.vault import seal_all

CACHE_VALUES = 2_000_000  # distinct values remembered by one worker, about 400 MB
MOBILE = r"^(?:\+?86|0086)?(1[3-9][0-9]{9})$"
VAULT_SCHEMA = pa.schema([("token", pa.string()), ("sealed", pa.binary())])
# Refusals that hold for an id of another system too; other unusual ids in `relations` are taken as they are.
_NEVER_A_NODE = re.compile(
    r"(masked|zero|placeholder|unspecified|loopback|broadcast|multicast|link_local|private)_\w+"
    r"|empty|one_digit|two_numbers"
)

# What a canonical value is part of, as a value of which kind: tokens of two parts have nothing in common.
_WHOLES: dict[Kind, tuple[Kind, Callable[[str], str | None]]] = {
    Kind.ADDRESS: (Kind.ADDRESS, house),
    Kind.IMEI: (Kind.HANDSET_BATCH, handset_batch),
}


def canonical_forms(kind: Kind, raws: list[str], opaque: bool = False) -> list[Canonical]:
    """Return the canonical form of each value, or the reason why it has none.

    Args:
        opaque: take ids that are no number of the kind (another system's own names) as they are written.
    """
    forms = [canonical(kind, raw) for raw in raws]
    if not opaque:
        return forms
    return [
        canonical(Kind.ACCOUNT, raw) if form.value is None and not _NEVER_A_NODE.fullmatch(form.tag) else form
        for form, raw in zip(forms, raws, strict=True)
    ]


def mobiles(raws: list[str]) -> list[str | None]:
    """Return the eleven digits of each value that is plainly a mainland mobile, None for all others."""
    text = pl.Series(pl.from_arrow(pa.array(raws, pa.string())))
    found = text.str.extract(MOBILE)
    if found.null_count():
        plain = text.str.normalize("NFKC").str.replace_all(r"[\s\-‐‑‒–—]", "")
        found = found.fill_null(plain.str.extract(MOBILE))
    return found.to_list()


class TokenMemory:
    """The values a worker has seen in this run, and those still to be written to the vault."""

    def __init__(self, keys: Keys):
        self._keys = keys
        self._tokens: dict[tuple[Kind, bool], dict[str, str | None]] = {}
        self._tags: dict[tuple[Kind, bool], dict[str, str]] = {}  # where the tag is not the usual one
        self._wholes: dict[Kind, dict[str, str | None]] = {kind: {} for kind in _WHOLES}
        self._vault: dict[str, str] = {}

    def look_up(self, kind: Kind, raws: list[str], opaque: bool = False) -> tuple[list[str | None], list[str]]:
        """Return for each value its token and its subtype; without a token the second is the reason code."""
        tokens = self._tokens.setdefault((kind, opaque), {})
        tags = self._tags.setdefault((kind, opaque), {})
        fresh = [raw for raw in raws if raw not in tokens]
        if fresh and len(tokens) > CACHE_VALUES:
            tokens.clear()
            tags.clear()
            if kind in _WHOLES and not opaque:
                self._wholes[kind].clear()
            fresh = raws
        if kind is Kind.PHONE:
            found = mobiles(fresh)
            plain = ["+86" + digits for digits in found if digits]
            self._keep(kind, [raw for raw, digits in zip(fresh, found, strict=True) if digits], plain, tokens)
            fresh = [raw for raw, digits in zip(fresh, found, strict=True) if not digits]
        usual = "mobile" if kind is Kind.PHONE else ""
        forms = canonical_forms(kind, fresh, opaque)
        for named in (kind, Kind.ROLE) if kind is Kind.NAME else (kind,):
            pairs = [
                (raw, form.value)
                for raw, form in zip(fresh, forms, strict=True)
                if form.value is not None and (named is Kind.ROLE) == (form.tag == "role")
            ]
            self._keep(named, [raw for raw, _ in pairs], [value for _, value in pairs], tokens)
        if kind in _WHOLES and not opaque:
            of, whole = _WHOLES[kind]
            parts = [(raw, whole(form.value)) for raw, form in zip(fresh, forms, strict=True) if form.value is not None]
            named_parts = [(raw, value) for raw, value in parts if value is not None]
            self._keep(of, [raw for raw, _ in named_parts], [value for _, value in named_parts], self._wholes[kind])
        tokens.update((raw, None) for raw, form in zip(fresh, forms, strict=True) if form.value is None)
        tags.update((raw, form.tag) for raw, form in zip(fresh, forms, strict=True) if form.tag != usual)
        return [tokens[raw] for raw in raws], [tags.get(raw, usual) for raw in raws]

    def wholes(self, kind: Kind, raws: list[str]) -> list[str | None]:
        """Return for each value that `look_up` has just seen the token of its house or batch, None without a token."""
        tokens = self._wholes[kind]
        return [tokens.get(raw) for raw in raws]

    def _keep(self, kind: Kind, raws: list[str], values: list[str], tokens: dict[str, str | None]) -> None:
        made = self._keys.tokens(kind, values)
        self._vault.update(zip(made, values, strict=True))
        tokens.update(zip(raws, made, strict=True))

    def vault_rows(self) -> pa.Table:
        """Return token and sealed value of the values first seen since the last `vault_written`."""
        tokens = list(self._vault)
        sealed = seal_all(self._keys, tokens, list(self._vault.values()))
        return pa.table({"token": tokens, "sealed": sealed}, schema=VAULT_SCHEMA)

    def vault_written(self) -> None:
        """Forget the values that `vault_rows` returned, once they are safe on disk."""
        self._vault = {}
