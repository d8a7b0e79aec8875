"""May this number be called now? A pure function of what happened, the policies, and the moment.

Every rule says from when on it would allow the call if nothing else happened; the call is allowed when all rules of all
policies allow it now. So the strictest policy wins, and a refusal comes with the time from which it no longer holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from algorithms.contact.policy import Policy

_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)


class Outcome(StrEnum):
    """How an attempt ended (contracts, `contact_attempts`)."""

    RIGHT_PERSON = "right_person"
    THIRD_PERSON = "third_person"
    REFUSED = "refused"
    NO_ANSWER = "no_answer"
    INVALID_NUMBER = "invalid_number"

    @property
    def connected(self) -> bool:
        """Whether somebody answered."""
        return self in (Outcome.RIGHT_PERSON, Outcome.THIRD_PERSON, Outcome.REFUSED)


class Rule(StrEnum):
    """Why a call is denied, in the order in which rules are asked; the first that denies is named."""

    DO_NOT_CONTACT = "do_not_contact"
    REFUSED = "refused"
    NOT_LOST = "not_lost"
    PROVENANCE = "provenance"
    DEBTOR_FIRST = "debtor_first"
    ONCE_ONLY = "once_only"
    QUIET_HOURS = "quiet_hours"
    CONNECTED_PER_DAY = "connected_per_day"
    UNANSWERED_PER_DAY = "unanswered_per_day"
    CALLS_PER_WEEK = "calls_per_week"
    AFTER_CONVERSATION = "after_conversation"


@dataclass(frozen=True)
class Attempt:
    """One call or message that was made. `at` has a zone; `to_debtor`: on a number that was taken for the debtor's."""

    at: datetime
    phone: str
    loan_id: str
    to_debtor: bool
    outcome: Outcome


@dataclass(frozen=True)
class Call:
    """The call that is asked about.

    Attributes:
        to: the debtor, on a new number, or a third person who may know how to reach the debtor.
        related: whether a third person is family or was named by the debtor; others are unrelated.
        sources: where the number is known from: `address_book`, `emergency_contact`, `application`, `calls`, …
        zones: IANA names of the time zones in which the person called may be; all must allow.
    """

    phone: str
    loan_id: str
    to: Literal["debtor", "third_person"]
    zones: tuple[str, ...]
    related: bool = False
    sources: frozenset[str] = frozenset()


@dataclass(frozen=True)
class History:
    """All that is known of a debtor's contacts, whoever made them and for whichever loan.

    Attributes:
        numbers: the debtor's own numbers as known.
        lost_since: when it was proven that the debtor is lost; None: it is not.
        do_not_contact: numbers that nobody may call.
        debtor_zone: IANA name of the zone in whose calendar days the debtor's calls are counted.
    """

    attempts: tuple[Attempt, ...]
    numbers: frozenset[str]
    lost_since: datetime | None
    do_not_contact: frozenset[str] = frozenset()
    debtor_zone: str = "Asia/Shanghai"


@dataclass(frozen=True)
class Decision:
    """Whether the call may be made now.

    `rule` and `policy` name what denies it first; `next_allowed` (UTC) is when the call could be made if nothing else
    happened until then, None where waiting does not help. An allowed call has neither rule nor policy.
    """

    allowed: bool
    rule: Rule | None
    policy: str | None
    next_allowed: datetime | None


class GateError(ValueError):
    """The gate was asked something it cannot answer: a time without a zone, no policy, no zone or an unknown one."""


_NEVER = datetime.max.replace(tzinfo=UTC)
_Found = tuple[Rule, datetime]  # a rule, and the earliest moment from `t` on at which it allows the call
_Asked = Callable[[History, list[Attempt], Call, Policy, datetime], _Found]


def may_contact(history: History, call: Call, policies: Sequence[Policy], now: datetime) -> Decision:
    """Return whether a call may be made at `now`; attempts later than `now` are not looked at.

    Raises:
        GateError: a time has no zone, or there is no policy, no zone, or an unknown one.
    """
    if not policies or not call.zones:
        raise GateError("A call needs at least one policy and one time zone; name those in force.")
    for zone in (*call.zones, history.debtor_zone):
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise GateError(
                f"Time zones are named as in the IANA list, for example Asia/Shanghai; not {zone!r}."
            ) from None
    times = [now, *(a.at for a in history.attempts), *([history.lost_since] if history.lost_since else [])]
    if any(at.tzinfo is None for at in times):
        raise GateError("Every time needs a zone; give UTC.")
    now = now.astimezone(UTC)
    known = [a for a in history.attempts if a.at <= now]
    rules = [(rule, policy) for policy in policies for rule in _RULES]
    denied = [
        (list(Rule).index(name), name, policy.name)
        for rule, policy in rules
        for name, earliest in [rule(history, known, call, policy, now)]
        if earliest > now
    ]
    if not denied:
        return Decision(True, None, None, now)
    _, name, policy_name = min(denied)
    return Decision(False, name, policy_name, _when(history, known, call, rules, now))


def _when(
    history: History, known: list[Attempt], call: Call, rules: Sequence[tuple[_Asked, Policy]], now: datetime
) -> datetime | None:
    """Return the first moment from `now` on at which all rules allow, by asking each again until none moves it."""
    at = now
    while True:
        earliest = max(rule(history, known, call, policy, at)[1] for rule, policy in rules)
        if earliest == _NEVER:
            return None
        if earliest <= at:
            return at
        at = earliest


def _do_not_contact(history: History, known: list[Attempt], call: Call, policy: Policy, t: datetime) -> _Found:
    return Rule.DO_NOT_CONTACT, _NEVER if call.phone in history.do_not_contact else t


def _refused(history: History, known: list[Attempt], call: Call, policy: Policy, t: datetime) -> _Found:
    """Whoever refused is not called again."""
    refused = any(a.phone == call.phone and a.outcome == Outcome.REFUSED for a in known)
    return Rule.REFUSED, _NEVER if refused else t


def _not_lost(history: History, known: list[Attempt], call: Call, policy: Policy, t: datetime) -> _Found:
    """Only a debtor proven lost is looked for, and nobody once found again."""
    since = history.lost_since
    lost = since is not None and since <= t and not any(
        a.to_debtor and a.outcome in (Outcome.RIGHT_PERSON, Outcome.REFUSED) and a.at >= since for a in known
    )  # fmt: skip
    return Rule.NOT_LOST, t if lost else _NEVER


def _provenance(history: History, known: list[Attempt], call: Call, policy: Policy, t: datetime) -> _Found:
    """A third person's number must be known from somewhere, and not only from an address book unless that is enough."""
    fine = call.to == "debtor" or bool(call.sources if policy.address_book_alone else call.sources - {"address_book"})
    return Rule.PROVENANCE, t if fine else _NEVER


def _debtor_first(history: History, known: list[Attempt], call: Call, policy: Policy, t: datetime) -> _Found:
    fine = call.to == "debtor" or (
        bool(history.numbers) and all(_gave_out(number, known, policy) for number in history.numbers)
    )
    return Rule.DEBTOR_FIRST, t if fine else _NEVER


def _gave_out(number: str, known: list[Attempt], policy: Policy) -> bool:
    """Whether a number of the debtor is invalid by its last attempt, or failed often enough in a row."""
    tried = [a.outcome for a in sorted(known, key=lambda a: a.at) if a.phone == number and a.to_debtor]
    last = tried[-policy.failed_before_third_persons :]
    failed = {Outcome.NO_ANSWER, Outcome.INVALID_NUMBER, Outcome.THIRD_PERSON}
    return bool(tried) and (
        tried[-1] == Outcome.INVALID_NUMBER
        or (len(last) == policy.failed_before_third_persons and failed.issuperset(last))
    )


def _once_only(history: History, known: list[Attempt], call: Call, policy: Policy, t: datetime) -> _Found:
    once = call.to == "third_person" and (policy.once_per == "anybody" or not call.related)
    spoken = any(
        a.phone == call.phone and (a.outcome == Outcome.THIRD_PERSON if a.to_debtor else a.outcome.connected)
        for a in known
    )
    return Rule.ONCE_ONLY, _NEVER if once and spoken else t


def _quiet_hours(history: History, known: list[Attempt], call: Call, policy: Policy, t: datetime) -> _Found:
    if policy.quiet_from is None or policy.quiet_to is None:
        return Rule.QUIET_HOURS, t
    return Rule.QUIET_HOURS, max(_awake(policy, ZoneInfo(zone), t) for zone in call.zones)


def _awake(policy: Policy, zone: ZoneInfo, t: datetime) -> datetime:
    """Return the first moment from `t` on that is not in the quiet hours of a zone."""
    begins, ends = policy.quiet_from, policy.quiet_to
    assert begins is not None
    assert ends is not None
    local = t.astimezone(zone)
    clock = local.time()
    if not (begins <= clock < ends if begins <= ends else clock >= begins or clock < ends):
        return t
    days = (local.date(), local.date() + _DAY)
    # An hour that clocks repeat holds each of its times twice.
    found = (datetime.combine(day, ends, zone).replace(fold=fold).astimezone(UTC) for day in days for fold in (0, 1))
    return min(at for at in found if at > t)


def _connected_per_day(history: History, known: list[Attempt], call: Call, policy: Policy, t: datetime) -> _Found:
    made = (a for a in known if a.outcome.connected)
    return Rule.CONNECTED_PER_DAY, _next_day(history, made, policy.connected_per_day, t)


def _unanswered_per_day(history: History, known: list[Attempt], call: Call, policy: Policy, t: datetime) -> _Found:
    made = (a for a in known if a.phone == call.phone and not a.outcome.connected)
    return Rule.UNANSWERED_PER_DAY, _next_day(history, made, policy.unanswered_per_number_and_day, t)


def _next_day(history: History, made: Iterator[Attempt], limit: int | None, t: datetime) -> datetime:
    """Return `t`, or the debtor's next midnight where a day's calls are used up; a limit of 0 allows none ever."""
    if limit is None:
        return t
    if limit == 0:
        return _NEVER
    zone = ZoneInfo(history.debtor_zone)
    today: date = t.astimezone(zone).date()
    if sum(a.at.astimezone(zone).date() == today for a in made) < limit:
        return t
    return datetime.combine(today + _DAY, datetime.min.time(), zone).astimezone(UTC)


def _with_person(known: list[Attempt], call: Call) -> list[Attempt]:
    """Return earlier attempts, in order, with the person called about the debt: with the debtor on whichever number."""
    debtor = call.to == "debtor"
    mine = (a for a in known if a.loan_id == call.loan_id and a.to_debtor == debtor)
    return sorted((a for a in mine if debtor or a.phone == call.phone), key=lambda a: a.at)


def _calls_per_week(history: History, known: list[Attempt], call: Call, policy: Policy, t: datetime) -> _Found:
    most = policy.calls_per_person_and_week
    within = [a.at for a in _with_person(known, call) if a.at > t - _WEEK]
    if most is None or len(within) < most:
        return Rule.CALLS_PER_WEEK, t
    return Rule.CALLS_PER_WEEK, (within[-most] + _WEEK).astimezone(UTC)


def _after_conversation(history: History, known: list[Attempt], call: Call, policy: Policy, t: datetime) -> _Found:
    days = policy.days_after_conversation
    third = {Outcome.THIRD_PERSON} if call.to == "third_person" else set()
    spoke = {Outcome.RIGHT_PERSON, Outcome.REFUSED} | third
    spoken = [a.at for a in _with_person(known, call) if a.outcome in spoke]
    if days is None or not spoken:
        return Rule.AFTER_CONVERSATION, t
    return Rule.AFTER_CONVERSATION, max(t, (spoken[-1] + days * _DAY).astimezone(UTC))


_RULES = (
    _do_not_contact, _refused, _not_lost, _provenance, _debtor_first, _once_only, _quiet_hours, _connected_per_day,
    _unanswered_per_day, _calls_per_week, _after_conversation,
)  # fmt: skip
