"""What the queue says when it refuses: sentences for collectors, without a word about a debt.

Such sentences stand beside leads to third persons too.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from algorithms.contact.gate import Decision, Rule

_WHY: dict[Rule, str] = {
    Rule.DO_NOT_CONTACT: "the number is on the do-not-contact list",
    Rule.REFUSED: "whoever answered there refused",
    Rule.NOT_LOST: "the person was reached, or is not proven lost",
    Rule.PROVENANCE: "where the number is known from is not enough to call it",
    Rule.DEBTOR_FIRST: "the person's own numbers come first",
    Rule.ONCE_ONLY: "this third person was spoken to already",
    Rule.QUIET_HOURS: "it is night there",
    Rule.CONNECTED_PER_DAY: "enough calls were answered today",
    Rule.UNANSWERED_PER_DAY: "the number was tried often enough today",
    Rule.CALLS_PER_WEEK: "enough calls were made within a week",
    Rule.AFTER_CONVERSATION: "the last conversation is too recent",
}


class Why(StrEnum):
    """Which refusal it is, for screens that say it in the reader's language."""

    ASKED_WRONGLY = "asked_wrongly"
    GONE = "gone"  # there is no such lead (any more)
    CLOSED = "closed"
    OTHERS = "others"  # it is another collector's
    DEAD_NUMBER = "dead_number"
    BUSY = "busy"  # another call about the person, or to the number, is open
    DENIED = "denied"  # by a rule
    STILL_OPEN = "still_open"  # the collector has a call open
    LATE = "late"  # the time to dial has passed
    NO_CALL = "no_call"
    ENDED = "ended"  # the call ended otherwise
    NOT_YET_YOURS = "not_yet_yours"  # the collector who has it open tells first


class QueueError(Exception):
    """The queue cannot do what was asked; the text says why and what to do, `why` which refusal it is."""

    def __init__(self, text: str, why: Why = Why.ASKED_WRONGLY) -> None:
        super().__init__(text)
        self.why = why


class NotNowError(QueueError):
    """The call is not lawful now; `rule` is the gate's, None where another call is open, and when it may be made."""

    def __init__(self, text: str, rule: Rule | None = None, next_allowed: datetime | None = None) -> None:
        super().__init__(text, Why.BUSY if rule is None else Why.DENIED)
        self.rule = rule
        self.next_allowed = next_allowed


def busy() -> NotNowError:
    """Return the refusal where another call about the debtor, or to the number, is open."""
    return NotNowError("Another call about this person, or to this number, is open. Take the next lead.")


def clock(at: datetime, zone: str) -> str:
    """Return a moment as the clocks of a zone show it."""
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} ({zone})"


def denied(decision: Decision, zone: str) -> NotNowError:
    """Return the refusal that the gate's decision is."""
    assert decision.rule is not None
    at = decision.next_allowed
    wait = f"It may be made from {clock(at, zone)} on." if at else "Waiting does not help; take the next lead."
    return NotNowError(f"This call may not be made now: {_WHY[decision.rule]}. {wait}", decision.rule, at)


def still_open(call_id: str) -> QueueError:
    """Return the refusal where the collector has a call of which nobody has said how it ended."""
    text = f"The call {call_id} is still open. Say how it ended first: leads outcome {call_id} OUTCOME."
    return QueueError(text, Why.STILL_OPEN)


def zoned(now: datetime) -> None:
    """Refuse a time without a zone.

    Raises:
        QueueError: it has none.
    """
    if now.tzinfo is None:
        raise QueueError("Every time needs a zone; give UTC.")
