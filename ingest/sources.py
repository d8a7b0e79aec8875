"""The ten landing sources: their columns, keys and what each column may hold (the lender's contract).

This list is what a row is checked against, how its values are typed and which of them become tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from graph.tokens import Kind

FieldType = Literal[
    "id", "text", "token", "timestamp", "date", "cny", "int", "float", "bool", "choice", "node_kind", "node_id"
]

RELATIONS = (
    "address_book", "spouse", "parent", "child", "sibling", "relative", "colleague", "friend", "other",
)  # fmt: skip
OUTCOMES = ("right_person", "third_person", "refused", "no_answer", "invalid_number")


_WHOLES: dict[Kind | None, str] = {Kind.ADDRESS: "house", Kind.IMEI: "batch"}


@dataclass(frozen=True)
class Field:
    """One column of a source. A bad value of a required field quarantines the row, of another is set aside."""

    name: str
    type: FieldType
    required: bool = False
    kind: Kind | None = None
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None

    @property
    def tagged(self) -> bool:
        """Whether `<name>_kind` stands beside the token (phones: mobile, landline, service, foreign)."""
        return self.kind is Kind.PHONE

    @property
    def derived(self) -> str | None:
        """Column beside the token for the token of what the value is part of: an address's house, an IMEI's batch."""
        return f"{self.name}_{_WHOLES[self.kind]}" if self.kind in _WHOLES else None


@dataclass(frozen=True)
class Source:
    """One landing source. `key` empty means that the whole row is the key; `event_at` dates the row."""

    name: str
    fields: tuple[Field, ...]
    event_at: str
    key: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names a landing file may have, in contract order, with `op` last."""
        return (*(field.name for field in self.fields), "op")

    @property
    def required(self) -> tuple[str, ...]:
        """Columns without which no row of the source can be accepted."""
        return tuple(field.name for field in self.fields if field.required)


def _token(name: str, kind: Kind, required: bool = False) -> Field:
    return Field(name, "token", required, kind)


def _at(name: str, required: bool = True) -> Field:
    return Field(name, "timestamp", required)


def _cny(name: str, required: bool = False) -> Field:
    return Field(name, "cny", required, minimum=0, maximum=1e11)


_APPLICANT = Field("applicant_id", "id", required=True)
_HANDSET = (
    _token("device_id", Kind.DEVICE_ID),
    _token("imei", Kind.IMEI),
    _token("iccid", Kind.ICCID),
    _token("ip", Kind.IP),
    _token("wifi_bssid", Kind.WIFI),
)

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source(
            "applications",
            (
                Field("application_id", "id", required=True),
                _APPLICANT,
                _token("id_number", Kind.ID_NUMBER),
                _token("name", Kind.NAME),
                Field("gender", "text"),
                _token("birth_date", Kind.BIRTH_DATE),
                _token("phone", Kind.PHONE),
                *_HANDSET,
                _token("address", Kind.ADDRESS),
                _token("employer", Kind.COMPANY),
                _token("employer_phone", Kind.PHONE),
                _token("bank_card", Kind.BANK_CARD),
                Field("channel", "text"),
                Field("product", "text"),
                _cny("amount_cny"),
                _at("applied_at"),
            ),
            event_at="applied_at",
            key=("application_id",),
        ),
        Source(
            "phones",
            (
                _token("phone", Kind.PHONE, required=True),
                _token("holder_id_number", Kind.ID_NUMBER),
                _token("iccid", Kind.ICCID),
                _token("imei", Kind.IMEI),
                Field("carrier", "text"),
                _at("opened_at", required=False),
                _at("closed_at", required=False),
                _at("observed_at"),
            ),
            event_at="observed_at",
        ),
        Source(
            "devices",
            (
                _token("device_id", Kind.DEVICE_ID, required=True),
                _APPLICANT,
                *_HANDSET[1:3],
                Field("os", "text"),
                Field("model", "text"),
                *_HANDSET[3:],
                Field("lat", "float", minimum=-90, maximum=90),
                Field("lon", "float", minimum=-180, maximum=180),
                _at("event_at"),
            ),
            event_at="event_at",
        ),
        Source(
            "contacts",
            (
                _APPLICANT,
                _token("contact_phone", Kind.PHONE, required=True),
                _token("contact_name", Kind.NAME),
                Field("relation", "choice", required=True, choices=RELATIONS),
                Field("emergency", "bool"),
                _at("captured_at"),
            ),
            event_at="captured_at",
        ),
        Source(
            "calls",
            (
                _token("phone", Kind.PHONE, required=True),
                _token("other_phone", Kind.PHONE, required=True),
                Field("direction", "choice", required=True, choices=("out", "in")),
                _at("started_at"),
                Field("duration_s", "int", required=True, minimum=0, maximum=86_400),
            ),
            event_at="started_at",
        ),
        Source(
            "loans",
            (
                Field("loan_id", "id", required=True),
                Field("application_id", "id", required=True),
                _APPLICANT,
                _at("disbursed_at"),
                _cny("principal_cny", required=True),
                Field("term_months", "int", minimum=0, maximum=600),
                Field("status", "text"),
            ),
            event_at="disbursed_at",
            key=("loan_id",),
        ),
        Source(
            "repayments",
            (
                Field("loan_id", "id", required=True),
                _at("due_at"),
                _cny("due_cny", required=True),
                _at("paid_at", required=False),
                _cny("paid_cny"),
            ),
            event_at="paid_at",
            key=("loan_id", "due_at"),
        ),
        Source(
            "contact_attempts",
            (
                Field("attempt_id", "id", required=True),
                Field("loan_id", "id", required=True),
                _APPLICANT,
                _token("phone", Kind.PHONE, required=True),
                _at("attempted_at"),
                Field("channel", "text"),
                Field("outcome", "choice", required=True, choices=OUTCOMES),
                _token("collector", Kind.STAFF),
            ),
            event_at="attempted_at",
            key=("attempt_id",),
        ),
        Source(
            "relations",
            (
                Field("from_kind", "node_kind", required=True),
                Field("from_id", "node_id", required=True),
                Field("relation", "text", required=True),
                Field("to_kind", "node_kind", required=True),
                Field("to_id", "node_id", required=True),
                _at("at"),
                Field("amount_cny", "cny", minimum=0, maximum=1e12),
                Field("score", "float", minimum=0, maximum=1),
            ),
            event_at="at",
        ),
        Source(
            "labels",
            (
                _APPLICANT,
                Field("label", "choice", required=True, choices=("fraud", "normal")),
                _at("confirmed_at"),
                _token("reviewer", Kind.STAFF),
            ),
            event_at="confirmed_at",
            key=("applicant_id", "confirmed_at"),
        ),
    )
}
