"""The contact gate: the rules one by one in view, and against a second writing of them on random histories."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.contact.gate import Attempt, Call, Decision, GateError, History, Outcome, Rule, may_contact
from algorithms.contact.policy import PolicyError, read_policy
from tests.algorithms.contact_by_hand import allowed, random_case

CN, US = read_policy("cn"), read_policy("us")
NOON = datetime(2026, 7, 1, 4, 0, tzinfo=UTC)  # 12:00 in Shanghai
LOST = NOON - timedelta(days=10)
TO_DEBTOR = Call("tel_new", "l", "debtor", ("Asia/Shanghai",))
TO_SISTER = Call("tel_s", "l", "third_person", ("Asia/Shanghai",), True, frozenset({"emergency_contact"}))
HOUR = timedelta(hours=1)


def tried(*outcomes: Outcome, phone: str = "tel_own", to_debtor: bool = True, hours: float = 48) -> tuple[Attempt, ...]:
    """Attempts an hour apart, the first `hours` before noon."""
    return tuple(
        Attempt(NOON - hours * HOUR + n * HOUR, phone, "l", to_debtor, outcome) for n, outcome in enumerate(outcomes)
    )


def asked(attempts: tuple[Attempt, ...] = (), call: Call = TO_DEBTOR, at: datetime = NOON, **told) -> Decision:
    history = History(attempts, frozenset({"tel_own"}), **({"lost_since": LOST} | told))
    return may_contact(history, call, [CN], at)


FAILED = tried(Outcome.NO_ANSWER, Outcome.NO_ANSWER, Outcome.NO_ANSWER)


def test_a_lost_debtor_may_be_called_by_day() -> None:
    assert asked() == Decision(True, None, None, NOON)


def test_nobody_is_called_unless_the_debtor_is_proven_lost_and_no_more_once_found() -> None:
    assert asked(lost_since=None) == Decision(False, Rule.NOT_LOST, "cn", None)
    assert asked(lost_since=NOON + HOUR).rule == Rule.NOT_LOST
    assert asked(tried(Outcome.RIGHT_PERSON)).rule == Rule.NOT_LOST
    assert asked(tried(Outcome.RIGHT_PERSON, hours=20 * 24)).allowed  # before the loss


@pytest.mark.parametrize(
    ("local", "wait"), [("21:59", 0), ("22:00", 600), ("23:30", 510), ("00:00", 480), ("07:59", 1), ("08:00", 0)]
)
def test_nobody_is_called_between_22_and_8_local_time(local: str, wait: int) -> None:
    hour, minute = map(int, local.split(":"))
    at = datetime(2026, 7, 1, hour, minute, tzinfo=UTC) - 8 * HOUR
    assert asked(at=at) == (
        Decision(False, Rule.QUIET_HOURS, "cn", at + timedelta(minutes=wait))
        if wait
        else Decision(True, None, None, at)
    )


def test_where_the_person_may_be_in_two_zones_it_must_be_day_in_both() -> None:
    both = replace(TO_DEBTOR, zones=("Asia/Shanghai", "Asia/Urumqi"))
    at = datetime(2026, 7, 1, 0, 30, tzinfo=UTC)  # 08:30 and 06:30
    assert asked(call=both, at=at).next_allowed == datetime(2026, 7, 1, 2, 0, tzinfo=UTC)


def test_the_fourth_connected_call_of_a_day_waits_for_the_next_day_whoever_made_the_others() -> None:
    spoken = tried(Outcome.THIRD_PERSON, Outcome.THIRD_PERSON, Outcome.THIRD_PERSON, hours=3.5)
    assert asked(spoken[:2]).allowed
    mine = tuple(replace(a, loan_id=loan) for a, loan in zip(spoken, "xyz", strict=True))
    assert asked(mine) == Decision(False, Rule.CONNECTED_PER_DAY, "cn", datetime(2026, 7, 2, 0, 0, tzinfo=UTC))


def test_a_third_person_comes_after_the_debtor_s_number_is_invalid_or_failed_three_times_in_a_row() -> None:
    assert asked(FAILED[:2], TO_SISTER).rule == Rule.DEBTOR_FIRST
    assert asked(FAILED, TO_SISTER).allowed
    assert asked(tried(Outcome.INVALID_NUMBER), TO_SISTER).allowed
    before = tried(Outcome.NO_ANSWER, Outcome.NO_ANSWER, Outcome.RIGHT_PERSON, Outcome.NO_ANSWER, hours=20 * 24)
    assert asked(before, TO_SISTER).rule == Rule.DEBTOR_FIRST


def test_each_of_the_debtor_s_numbers_is_tried_before_a_third_person() -> None:
    history = History(FAILED, frozenset({"tel_own", "tel_old"}), LOST)
    assert may_contact(history, TO_SISTER, [CN], NOON).rule == Rule.DEBTOR_FIRST


def test_an_unrelated_third_person_is_spoken_to_once_and_a_relative_may_be_called_again() -> None:
    spoken = FAILED + tried(Outcome.THIRD_PERSON, phone="tel_s", to_debtor=False)
    assert asked(spoken, TO_SISTER).allowed
    assert asked(spoken, replace(TO_SISTER, related=False)) == Decision(False, Rule.ONCE_ONLY, "cn", None)
    unanswered = FAILED + tried(Outcome.NO_ANSWER, phone="tel_s", to_debtor=False)
    assert asked(unanswered, replace(TO_SISTER, related=False)).allowed


def test_a_stranger_who_answered_on_the_debtor_s_number_has_been_spoken_to() -> None:
    answered = tried(Outcome.THIRD_PERSON, Outcome.NO_ANSWER, Outcome.INVALID_NUMBER)
    stranger = replace(TO_SISTER, phone="tel_own", related=False)
    assert asked(answered, stranger).rule == Rule.ONCE_ONLY
    assert asked(answered, replace(stranger, phone="tel_s")).allowed


def test_who_refused_or_asked_not_to_be_contacted_is_never_called() -> None:
    refused = FAILED + tried(Outcome.REFUSED, phone="tel_s", to_debtor=False)
    assert asked(refused, TO_SISTER) == Decision(False, Rule.REFUSED, "cn", None)
    assert asked(FAILED, TO_SISTER, do_not_contact=frozenset({"tel_s"})).rule == Rule.DO_NOT_CONTACT


def test_an_address_book_alone_is_no_lead_in_china() -> None:
    alone = replace(TO_SISTER, sources=frozenset({"address_book"}))
    assert asked(FAILED, alone) == Decision(False, Rule.PROVENANCE, "cn", None)
    assert asked(FAILED, replace(alone, sources=frozenset({"address_book", "calls"}))).allowed


def test_the_strictest_of_two_policies_wins() -> None:
    seven = tuple(replace(a, at=NOON - timedelta(days=n, hours=1)) for n, a in enumerate(FAILED[:1] * 7))
    history = History(seven, frozenset({"tel_own"}), LOST)
    assert may_contact(history, TO_DEBTOR, [CN], NOON).allowed
    both = may_contact(history, TO_DEBTOR, [CN, US], NOON)
    assert both == Decision(False, Rule.CALLS_PER_WEEK, "us", NOON + 23 * HOUR)


def test_what_happens_after_the_moment_is_not_looked_at() -> None:
    later = tuple(replace(a, at=NOON + HOUR, outcome=Outcome.REFUSED, phone="tel_new") for a in FAILED)
    assert asked(later) == asked()


def test_a_time_without_a_zone_or_a_call_without_a_policy_is_refused() -> None:
    with pytest.raises(GateError, match="needs a zone"):
        asked(at=NOON.replace(tzinfo=None))
    with pytest.raises(GateError, match="not 'Asia/Nowhere'"):
        asked(call=replace(TO_DEBTOR, zones=("Asia/Nowhere",)))
    with pytest.raises(GateError, match="at least one policy"):
        may_contact(History((), frozenset(), None), TO_DEBTOR, [], NOON)


def test_a_policy_that_is_none_is_refused_by_name(tmp_path) -> None:
    with pytest.raises(PolicyError, match="There are: cn, us"):
        read_policy("xx")
    (tmp_path / "odd.yml").write_text("name: odd\nquiet_from: '22:00'\n")
    with pytest.raises(PolicyError, match="quiet_from and quiet_to"):
        read_policy("odd", tmp_path)
    (tmp_path / "wrong.yml").write_text("name: wrong\ncalls: 3\n")
    with pytest.raises(PolicyError, match="calls"):
        read_policy("wrong", tmp_path)


@given(st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_the_gate_is_that_of_a_second_writing_on_histories_that_hypothesis_makes_small(draw: Random) -> None:
    check(1, draw)


def check(cases: int, draw: Random) -> tuple[int, int]:
    """Hold the gate against the second writing; return how many were allowed, and how many denied for a while."""
    policies = {"cn": CN, "us": US}
    yes = waits = 0
    for _ in range(cases):
        history, call, names, now = random_case(draw)
        found = may_contact(history, call, [policies[name] for name in names], now)
        assert found.allowed == allowed(history, call, names, now), (history, call, names, now)
        yes += found.allowed
        if not found.allowed and found.next_allowed is not None:
            waits += 1
            assert allowed(history, call, names, now, found.next_allowed), (history, call, names, now)
            span = found.next_allowed - now
            for at in (found.next_allowed - timedelta(microseconds=1), *(now + draw.random() * span for _ in range(3))):
                assert at >= found.next_allowed or not allowed(history, call, names, now, at), (history, call, now, at)
        elif not found.allowed:
            for _ in range(2):
                at = now + timedelta(minutes=draw.randrange(20 * 1440))
                assert not allowed(history, call, names, now, at), (history, call, names, now, at)
    return yes, waits


def test_the_gate_is_that_of_a_second_writing_on_random_histories() -> None:
    yes, waits = check(8_000, Random(0))
    assert yes > 400
    assert waits > 400


@pytest.mark.drill
@pytest.mark.timeout(3_000)
def test_a_million_random_histories_hold_no_violation() -> None:
    check(1_000_000, Random(1))
