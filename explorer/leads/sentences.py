"""What the queue says, in the reader's language: why it refuses, whom one speaks to. No word about a debt."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import phonenumbers
from flask import g

from algorithms.contact.gate import Outcome, Rule
from algorithms.contact.payload import SCRIPTS, DebtorLead, Lead
from algorithms.contact.queue import Ended, NotNowError, QueueError, Seen
from explorer.words import language, moment, say


def refusal(error: QueueError) -> str:
    """Return why the queue refused, and what to do."""
    if isinstance(error, NotNowError) and error.rule is not None:
        return _denied(error.rule, error.next_allowed)
    return say(f"leads.why_{error.why}")


def against(seen: Seen) -> str:
    """Return why a lead may not be called now; empty if it may."""
    if seen.allowed:
        return ""
    if seen.rule is not None:
        return _denied(seen.rule, seen.lead.next_allowed_at)
    return say("leads.why_busy" if seen.open else "leads.why_closed")


def rule(which: Rule) -> str:
    """Return a rule of the gate in plain words."""
    return say(f"leads.rule_{which}")


def to_whom(lead: Lead) -> str:
    """Return whom one speaks to: the person, or who else by what relation."""
    if isinstance(lead, DebtorLead):
        return say("leads.to_person")
    return capital(lead.relation_zh if language() == "zh" else lead.relation_en)


def route(lead: Lead) -> str:
    """Return where the number comes from, in plain words."""
    return capital(lead.route_zh if language() == "zh" else lead.route_en)


def scripts(lead: Lead) -> tuple[str, str]:
    """Return what may be said: in the reader's language, and in the other one."""
    words = SCRIPTS[lead.script]
    return (words.zh, words.en) if language() == "zh" else (words.en, words.zh)


def told(ended: Ended) -> str:
    """Return what came of telling an outcome."""
    if not ended.changed:
        return say("leads.told_before")
    said = say(f"leads.told_{ended.outcome}")
    others = say("leads.told_closed", count=ended.closed) if ended.closed else ""
    return " ".join(part for part in (said, others) if part)


def clock(at: datetime | None, now: datetime) -> str:
    """Return a moment: the time alone if it is of the same day as `now` where the debtors are."""
    if at is None:
        return "—"
    zone = ZoneInfo(g.get("zone", "UTC"))
    there, today = at.astimezone(zone), now.astimezone(zone)
    return f"{there:%H:%M}" if there.date() == today.date() else moment(at)


def outcome(which: str | None) -> str:
    """Return how a call ended, in a few words."""
    return say("leads.outcome_open") if which is None else say(f"leads.outcome_{Outcome(which)}")


def number(plain: str) -> str:
    """Return a number in groups, as it is read and dialed."""
    try:
        return phonenumbers.format_number(phonenumbers.parse(plain), phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    except phonenumbers.NumberParseException:
        return plain


def capital(text: str) -> str:
    """Return a phrase as a line of its own begins."""
    return text[:1].upper() + text[1:]


def _denied(which: Rule, at: datetime | None) -> str:
    if at is None:
        return say("leads.denied_for_good", rule=rule(which))
    return say("leads.denied_until", rule=rule(which), at=at)
