"""The conditional logit, what is learned from earlier leads, and what a lead says."""

import datetime as dt
import itertools

import numpy as np
import polars as pl
import pytest

from algorithms.leads import sentences
from algorithms.leads.blend import LeadRulesError, Term, fit, read_rules
from algorithms.leads.leads import Law
from algorithms.leads.learning import choices

NIGHT = dt.date(2026, 3, 1)


def _at(day: int) -> dt.datetime:
    return dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC) + dt.timedelta(days=day)


def _candidates(*pairs: tuple[str, str], night: dt.date = NIGHT) -> pl.DataFrame:
    return pl.DataFrame([(p, n, night) for p, n in pairs], ["person_id", "phone", "as_of_date"], orient="row")


def _attempts(*rows: tuple[str, str, int, str]) -> pl.DataFrame:
    schema = {"person_id": pl.String, "phone": pl.String, "at": pl.Datetime("us", "UTC"), "outcome": pl.String}
    return pl.DataFrame([(p, n, _at(day), o) for p, n, day, o in rows], schema, orient="row")


def _told(candidates: pl.DataFrame, attempts: pl.DataFrame, day: dt.date = dt.date(2026, 3, 20)) -> dict:
    rows = choices(candidates, attempts, day)
    return {(p, n): c for p, n, c in rows.select("person_id", "phone", "chosen").iter_rows()}


def test_the_number_on_which_the_borrower_answered_was_right():
    told = _told(_candidates(("a", "new"), ("a", "mother")), _attempts(("a", "new", 2, "right_person")))
    assert told == {("a", "new"): True, ("a", "mother"): False}


def test_whom_somebody_called_before_the_borrower_answered_within_a_month_was_right():
    called = (("a", "mother", 2, "third_person"), ("a", "old", 9, "right_person"))
    assert _told(_candidates(("a", "mother"), ("a", "x")), _attempts(*called))[("a", "mother")]
    late = (("a", "mother", 2, "third_person"), ("a", "old", 40, "right_person"))
    assert _told(_candidates(("a", "mother"), ("a", "x")), _attempts(*late), dt.date(2026, 6, 1)) == {}


def test_nobody_was_right_once_two_months_of_calls_brought_nobody_back_and_not_before():
    tried = _attempts(("a", "mother", 2, "no_answer"))
    assert _told(_candidates(("a", "mother")), tried, dt.date(2026, 4, 30)) == {}
    assert _told(_candidates(("a", "mother")), tried, dt.date(2026, 5, 2)) == {("a", "mother"): False}


def test_a_call_of_the_night_itself_or_before_teaches_nothing_about_it():
    assert _told(_candidates(("a", "new")), _attempts(("a", "new", 0, "right_person"))) == {}


def test_a_borrower_counts_once_however_many_nights_named_the_number():
    nights = pl.concat([_candidates(("a", "new"), night=NIGHT + dt.timedelta(days=k)) for k in range(5)])
    rows = choices(nights, _attempts(("a", "new", 3, "right_person")), dt.date(2026, 3, 20))
    assert rows["as_of_date"].to_list() == [NIGHT + dt.timedelta(days=2)]


RULES = read_rules().model_copy(
    update={
        "nobody": (Term(name="nobody", value="1", weight=0.0),), "own": (Term(name="a", value="a", weight=0.5),),
        "others": (Term(name="b", value="b", weight=-0.5),), "minimum_choices": 10, "prior_choices": 4.0,
    }
)  # fmt: skip


def _world(seed: int, weights: np.ndarray, borrowers: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    sets = np.repeat(np.arange(borrowers), rng.integers(1, 5, borrowers))
    x = np.column_stack([np.zeros(len(sets)), rng.normal(size=len(sets)), rng.integers(0, 2, len(sets))])
    x0 = np.tile([1.0, 0.0, 0.0], (len(sets), 1))
    chosen = np.zeros(len(sets), bool)
    for s in range(borrowers):
        here = np.flatnonzero(sets == s)
        p = np.exp(np.append(x[here] @ weights, x0[here[0]] @ weights))
        pick = rng.choice(len(p), p=p / p.sum())
        if pick < len(here):
            chosen[here[pick]] = True
    return x, x0, sets, chosen


def _posterior(w: np.ndarray, x: np.ndarray, x0: np.ndarray, sets: np.ndarray, chosen: np.ndarray) -> float:
    """The same by loops, one borrower after another."""
    total = 0.0
    for s in np.unique(sets):
        here = sets == s
        told = np.append(np.exp(x[here] @ w), np.exp(x0[here][0] @ w))
        right = np.flatnonzero(chosen[here])
        total += np.log(told[right[0] if len(right) else -1] / told.sum())
    return total - 0.5 * RULES.prior_choices / 40 * float(((w - RULES.weights) ** 2).sum())


@pytest.mark.parametrize("seed", range(3))
def test_no_weights_near_the_learned_ones_explain_the_choices_better(seed):
    data = _world(seed, np.array([0.5, 2.0, 1.0]), 60)
    best = fit(*data, RULES)
    at_best = _posterior(best, *data)
    for step in itertools.product((-0.02, 0, 0.02), repeat=3):
        assert _posterior(best + np.array(step), *data) <= at_best + 1e-7


def test_learned_weights_come_near_the_true_ones_with_many_borrowers_and_stay_as_written_with_few():
    true = np.array([0.5, 2.0, 1.0])
    assert fit(*_world(0, true, 4_000), RULES) == pytest.approx(true, abs=0.2)
    assert (fit(*_world(0, true, 9), RULES) == RULES.weights).all()


def test_rules_with_two_terms_of_one_name_or_an_unknown_key_are_refused(tmp_path):
    text = (read_rules.__defaults__[0]).read_text()
    path = tmp_path / "leads.yml"
    path.write_text(text.replace("name: spouse", "name: parent"))
    with pytest.raises(LeadRulesError, match="name of its own"):
        read_rules(path)
    path.write_text(text + "\nsurprise: 1\n")
    with pytest.raises(LeadRulesError, match="surprise"):
        read_rules(path)


def test_the_morning_after_a_night_is_ten_oclock_on_the_debtors_clock():
    law = Law(())
    assert law.morning_after(dt.datetime(2026, 6, 30, 23, 59, tzinfo=dt.UTC)).isoformat() == "2026-07-01T10:00:00+08:00"
    assert law.morning_after(dt.datetime(2026, 7, 1, 3, tzinfo=dt.UTC)).isoformat() == "2026-07-02T10:00:00+08:00"


BLANK = dict.fromkeys(
    ("identity", "identity_at", "via_identity", "handset_at", "handset_persons", "via_handset", "book_count",
     "beside_count", "via_books", "circle_count", "circle_dice", "via_circle", "circle_out", "relation", "last_at",
     "called_by", "called_to")
) | {
    "person_id": "per_1", "phone": "tel_new", "own": False, "emergency": False, "listed": False, "calls": 0,
    "answered": 0, "share": 0.0, "touch_count": 0, "new_touch_count": 0, "mutual": False, "failed_tries": 0,
    "invalid": False, "passed_on": False, "alive": True,
}  # fmt: skip


NAMED = ["emergency_contact", "named_contact"]


@pytest.mark.parametrize(
    ("more", "route", "sources"),
    [
        ({"own": True, "handset_at": NIGHT}, "own_new_number", ["handset"]),
        ({"relation": "spouse", "listed": True, "emergency": True}, "known_contact", NAMED),
        ({"relation": "colleague", "listed": True, "emergency": True}, "intermediary", NAMED),
        ({"relation": "address_book", "listed": True}, "intermediary", ["address_book"]),
        ({"answered": 3, "calls": 4}, "intermediary", ["calls"]),
    ],
)  # fmt: skip
def test_a_lead_says_by_which_road_and_from_where_its_number_is_known(more, route, sources):
    row = BLANK | more
    assert (sentences.route(row), sentences.sources(row)) == (route, sources)


def test_what_is_said_of_a_new_number_names_handset_friends_and_circle():
    row = BLANK | {
        "own": True, "handset_at": _at(0), "handset_persons": 2, "via_handset": ["dev_1", "sim_2"], "book_count": 2.0,
        "via_books": ["per_7", "per_8"], "circle_count": 3.0, "circle_dice": 0.4, "via_circle": ["tel_a", "tel_b"],
        "circle_out": [True, False], "alive": False,
    }  # fmt: skip
    items = sentences.evidence(row)
    assert [item["text"] for item in items] == [
        "This number's card has been in the borrower's handset, which 1 other person uses too, since 2026-03-01.",
        "2 people who know the borrower have since noted this number under the name that stood beside the old one.",
        "3 of those with whom the old number talked talk with this number since, 40% of its calls before.",
        "No call of it is known of the last 30 days.",
    ]
    assert {"relationship": "CALLED", "src": "tel_a", "dst": "tel_new"} in items[2]["relationships"]
    assert {"relationship": "CALLED", "src": "tel_new", "dst": "tel_b"} in items[2]["relationships"]
    assert sentences.via(row) == ["per_1", "dev_1", "sim_2", "per_7", "per_8", "tel_a", "tel_b", "tel_new"]
