"""The contact rules written out a second time, from the prose and in the slowest way, to hold the gate against."""

from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import yaml

from algorithms.contact.gate import Attempt, Call, History, Outcome
from algorithms.contact.policy import POLICIES

TEXTS = {name: yaml.safe_load((POLICIES / f"{name}.yml").read_text()) for name in ("cn", "us")}
ZONES = (
    "Asia/Shanghai", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe", "Europe/Berlin", "Pacific/Apia",
    "Asia/Kathmandu", "UTC",
)  # fmt: skip
# Days around which clocks change somewhere, and one on which they do not.
DAYS = [datetime(*day, tzinfo=UTC) for day in ((2026, 3, 8), (2026, 3, 29), (2026, 10, 25), (2018, 11, 4),
                                               (2018, 2, 18), (2026, 4, 5), (2011, 12, 30), (2026, 7, 1))]  # fmt: skip


def _clock(at: datetime, zone: str) -> str:
    return at.astimezone(ZoneInfo(zone)).strftime("%H:%M:%S.%f")


def _day(at: datetime, zone: str) -> str:
    return at.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d")


def allowed(history: History, call: Call, policies: list[str], now: datetime, at: datetime | None = None) -> bool:
    """Return whether all policies allow a call at `at` (`now` by default), as far as was known at `now`."""
    at = at or now
    return all(_allowed(history, call, TEXTS[name], now, at) for name in policies)


def _allowed(history: History, call: Call, text: dict, now: datetime, at: datetime) -> bool:
    before = sorted((a for a in history.attempts if a.at <= now), key=lambda a: a.at)
    if call.phone in history.do_not_contact:
        return False
    for attempt in before:
        if attempt.phone == call.phone and attempt.outcome == "refused":
            return False
    if history.lost_since is None or history.lost_since > now:
        return False
    for attempt in before:
        if attempt.to_debtor and attempt.at >= history.lost_since and attempt.outcome in ("right_person", "refused"):
            return False
    if call.to == "third_person" and not _third_person(history, call, text, before):
        return False
    for zone in call.zones:  # both policies are quiet over midnight
        if _clock(at, zone) >= text["quiet_from"] or _clock(at, zone) < text["quiet_to"]:
            return False
    connected = unanswered = 0
    for attempt in before:
        if _day(attempt.at, history.debtor_zone) == _day(at, history.debtor_zone):
            if attempt.outcome in ("right_person", "third_person", "refused"):
                connected += 1
            elif attempt.phone == call.phone:
                unanswered += 1
    if connected >= text.get("connected_per_day", 10**9):
        return False
    if unanswered >= text.get("unanswered_per_number_and_day", 10**9):
        return False
    calls = 0
    for attempt in before:
        if attempt.loan_id != call.loan_id or attempt.to_debtor != (call.to == "debtor"):
            continue
        if call.to == "third_person" and attempt.phone != call.phone:
            continue
        if at - attempt.at < timedelta(hours=7 * 24):
            calls += 1
        if "days_after_conversation" in text and at - attempt.at < timedelta(days=text["days_after_conversation"]):
            if attempt.outcome in ("right_person", "refused"):
                return False
            if call.to == "third_person" and attempt.outcome == "third_person":
                return False
    return calls < text.get("calls_per_person_and_week", 10**9)


def _third_person(history: History, call: Call, text: dict, before: list[Attempt]) -> bool:
    if not call.sources or (call.sources == {"address_book"} and not text["address_book_alone"]):
        return False
    if not history.numbers:
        return False
    for number in history.numbers:
        in_a_row, last = 0, None
        for attempt in before:
            if attempt.phone == number and attempt.to_debtor:
                in_a_row = in_a_row + 1 if attempt.outcome in ("no_answer", "invalid_number", "third_person") else 0
                last = attempt.outcome
        if last != "invalid_number" and in_a_row < text["failed_before_third_persons"]:
            return False
    if text["once_per"] == "anybody" or not call.related:
        for attempt in before:
            if attempt.phone != call.phone or attempt.outcome in ("no_answer", "invalid_number"):
                continue
            if attempt.outcome == "third_person" or not attempt.to_debtor:
                return False
    return True


def random_case(draw: Random) -> tuple[History, Call, list[str], datetime]:
    """Return a history with few numbers, many calls near midnights and clock changes, a call, policies and a moment."""
    middle = draw.choice(DAYS)

    def moment(days: float) -> datetime:
        at = middle + timedelta(minutes=draw.randrange(int(-days * 1440), int(1440 * days)))
        edge = draw.random()
        if edge < 0.2:  # on the hour, and just before it
            at = at.replace(minute=0) - timedelta(microseconds=draw.randrange(2))
        return at

    own, others = ["tel_1", "tel_2"], ["tel_3", "tel_4"]
    attempts = []
    for _ in range(draw.choice((0, 1, 3, 5, 9, 14))):
        to_debtor = draw.random() < 0.7
        phone = draw.choice(own if to_debtor else others)
        outcome = draw.choice(
            [*Outcome, Outcome.NO_ANSWER, Outcome.NO_ANSWER, Outcome.NO_ANSWER, Outcome.INVALID_NUMBER]
        )
        if outcome == Outcome.REFUSED and draw.random() < 0.8:
            outcome = Outcome.NO_ANSWER
        attempts.append(Attempt(moment(draw.choice((0.5, 1, 9))), phone, draw.choice("lm"), to_debtor, outcome))
    if draw.random() < 0.6:  # nobody answered for a while
        start = moment(1) - timedelta(days=3)
        attempts += [
            Attempt(start + timedelta(hours=n), phone, "l", True, Outcome.NO_ANSWER) for n in range(3) for phone in own
        ]
    lost = None if draw.random() < 0.1 else moment(draw.choice((1, 9)))
    history = History(
        tuple(attempts), frozenset(own[: draw.choice((0, 1, 2, 2))]), lost,
        frozenset(["tel_4"] if draw.random() < 0.2 else []), draw.choice(ZONES),
    )  # fmt: skip
    sources = draw.choice((set(), {"address_book"}, {"address_book", "calls"}, {"emergency_contact"}))
    third = draw.random() < 0.6
    call = Call(
        draw.choice([*others, "tel_1"] if third else ["tel_9", "tel_1"]), draw.choice("lm"),
        "third_person" if third else "debtor",
        tuple(draw.sample(ZONES, draw.choice((1, 1, 2)))), draw.random() < 0.5, frozenset(sources),
    )  # fmt: skip
    policies = draw.choice((["cn"], ["us"], ["cn", "us"], ["us", "cn"]))
    return history, call, policies, moment(draw.choice((0.5, 1, 10)))
