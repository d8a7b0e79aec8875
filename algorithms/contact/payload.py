"""What a collector is shown. A lead to a third person is a type of its own that cannot hold anything about a debt.

Number labels are not digits: two numbers can be told apart by them, and none can be dialed or looked up.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple


class Words(NamedTuple):
    """The same words in Chinese and in English."""

    zh: str
    en: str


class Script(StrEnum):
    """Which of the texts in `SCRIPTS` is said."""

    IDENTITY_FIRST = "identity_first"
    ASK_TO_BE_CALLED = "ask_to_be_called"


SCRIPTS: dict[Script, Words] = {
    Script.IDENTITY_FIRST: Words(
        "先核实对方是否本人；不是本人则道歉并结束通话，不透露任何事由。对方拒绝再联系时，记录为拒绝。",
        "First make sure that this is the person. If it is not, apologize and end the call; give no reason for it. "
        "Whoever does not want to be called again has refused: say so in the outcome.",
    ),
    Script.ASK_TO_BE_CALLED: Words(
        "只请对方转告本人回电，或询问联系方式；不说明事由、不透露机构业务。对方拒绝再联系时，记录为拒绝。",
        "Only ask that the person call back, or how to reach them. Give no reason and do not name the business. "
        "Whoever does not want to be called again has refused: say so in the outcome.",
    ),
}
_OWN = Words("本人可能正在使用的新号码", "a number that may be the person's own now")
_ROUTES: dict[str, Words] = {
    "own_new_number": _OWN,
    "known_contact": Words("与本人有联系的人", "somebody who is in touch with the person"),
    "intermediary": Words("可能知道如何找到本人的人", "somebody who may know how to reach the person"),
}
_NAMED = Words("本人指定的紧急联系人", "named by the person for emergencies")
_RELATED = Words("亲属或本人指定的联系人", "family, or named by the person")
_OTHER = Words("其他认识的人", "another acquaintance")


@dataclass(frozen=True)
class DebtorLead:
    """A call to a number that may be the debtor's own: the only lead that carries the loan and what is overdue.

    Attributes:
        number: a label such as `••••3f2a`, made of the token's end.
        evidence: why the number may be theirs, in sentences.
        allowed_until: when it stops being lawful if nothing else happens; None: it is not lawful now, or has no end.
        next_allowed_at: when it is lawful; None: waiting does not help. Both are UTC.
    """

    lead_id: str
    loan_id: str
    overdue_cny: float | None
    probability: float
    number: str
    route_zh: str
    route_en: str
    evidence: tuple[str, ...]
    script: Script
    allowed_until: datetime | None
    next_allowed_at: datetime | None


@dataclass(frozen=True)
class ThirdPersonLead:
    """A call to somebody who may know how to reach the person: whom one calls and what may be said, nothing else.

    The attributes are those of `DebtorLead`; `lead_id` is drawn at random, so that nothing can be read from it.
    """

    lead_id: str
    number: str
    route_zh: str
    route_en: str
    relation_zh: str
    relation_en: str
    script: Script
    allowed_until: datetime | None
    next_allowed_at: datetime | None


Lead = DebtorLead | ThirdPersonLead


@dataclass(frozen=True)
class DebtorCall:
    """A call to the debtor that is open: its plain number, shown once the audit log had its line.

    Attributes:
        ask_for: the person's name; None where the lake has none. `dial_until`: UTC; later it must not be dialed.
    """

    call_id: str
    lead: DebtorLead
    phone_number: str = field(repr=False)
    ask_for: str | None = field(repr=False)
    dial_until: datetime


@dataclass(frozen=True)
class ThirdPersonCall:
    """A call to a third person that is open; the attributes are those of `DebtorCall`."""

    call_id: str
    lead: ThirdPersonLead
    phone_number: str = field(repr=False)
    ask_for: str | None = field(repr=False)
    dial_until: datetime


Call = DebtorCall | ThirdPersonCall


@dataclass(frozen=True)
class PastCall:
    """An earlier call as a collector may see it: when (UTC), to which number, how it ended; None: it is open."""

    at: datetime
    number: str
    outcome: str | None
    made_here: bool


def label(phone: str) -> str:
    """Return what stands for a number on the screen, made of its token; no digit of the number is in it."""
    return f"••••{phone[-4:]}"


def debtor_lead(
    item: Any, *, allowed_until: datetime | None = None, next_allowed_at: datetime | None = None
) -> DebtorLead:
    """Return what is shown of a row of the queue that leads to the debtor."""
    words = _ROUTES.get(item["route"], _OWN)
    return DebtorLead(
        item["lead_id"], item["loan_id"], item["overdue_cny"], item["probability"], label(item["phone"]), *words,
        tuple(found["text"] for found in item["evidence"] if found.get("text")), Script.IDENTITY_FIRST,
        allowed_until, next_allowed_at,
    )  # fmt: skip


def third_person_lead(
    item: Any, *, allowed_until: datetime | None = None, next_allowed_at: datetime | None = None
) -> ThirdPersonLead:
    """Return what is shown of a row of the queue that leads to a third person; no sentence of the evidence is in it."""
    words = _ROUTES.get(item["route"], _ROUTES["intermediary"])
    relation = _NAMED if "emergency_contact" in item["sources"] else _RELATED if item["related"] else _OTHER
    return ThirdPersonLead(
        item["lead_id"], label(item["phone"]), *words, *relation, Script.ASK_TO_BE_CALLED,
        allowed_until, next_allowed_at,
    )  # fmt: skip


def as_json(payload: Lead | Call | PastCall) -> str:
    """Return a payload as one JSON object, times in UTC."""
    return json.dumps(asdict(payload), ensure_ascii=False, default=_plain)


def _plain(value: Any) -> str:
    assert isinstance(value, datetime)
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
