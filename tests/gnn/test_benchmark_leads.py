"""The race for first contacts: what is asked, how it is counted, and that nothing after the cutoff is known."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from algorithms.leads.contact_events import KINDS, ContactEvents, ContactEventsError, read_events
from algorithms.leads.rankers import RANKERS
from gnn.__main__ import app
from gnn.leads.benchmark import default_target, race
from gnn.leads.link_model import PARTS, learn
from gnn.leads.measures import figures, of_source
from gnn.leads.pair_features import pairs_of
from gnn.leads.questions import Known, question

DAY = 86_400.0
CUTOFF = 20 * DAY
CALL, MESSAGE, CONTACT = range(3)
DATA = Path(__file__).parents[3] / "shared" / "data" / "contact-events"


def _events(rows: list[tuple[str, str, int, float]]) -> ContactEvents:
    src, dst, kind, at = zip(*rows, strict=True)
    names = np.unique([*src, *dst])
    return ContactEvents(
        names, np.searchsorted(names, src), np.searchsorted(names, dst), np.array(kind, np.int8), np.array(at, float),
        np.zeros(len(src)),
    )  # fmt: skip


def _town(seed: int = 0, n: int = 64) -> ContactEvents:
    """Thirty days: most first calls go to a listed friend who wrote lately, which no single ranker knows."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[str, str, int, float]] = []
    for a in range(n):
        circle = sorted({int(x) % n for x in a + rng.integers(1, 15, 9)} - {a})
        for b in circle:
            rows.append((f"p{a:02d}", f"p{b:02d}", CONTACT, 0.0))
        for b in rng.choice(circle, min(5, len(circle)), replace=False):
            met = rng.uniform(1, 29)
            for kind, delay in ((MESSAGE, 0.0), (CALL, rng.exponential(1.5))):
                for at in met + delay + rng.exponential(3, rng.integers(1, 4)):
                    if at < 30:
                        rows.append((f"p{a:02d}", f"p{int(b):02d}", kind, at * DAY))
        for b in rng.integers(0, n, 3):  # written to, never called
            if a != b:
                rows.append((f"p{a:02d}", f"p{int(b):02d}", MESSAGE, rng.uniform(0.1, 30) * DAY))
    return _events(rows)


@pytest.fixture(scope="module")
def town() -> ContactEvents:
    return _town()


@pytest.fixture(scope="module")
def told(town):
    return race(town, CUTOFF, "call")


def test_what_ties_is_counted_as_the_mean_over_every_order():
    scores, gained = np.array([2.0, 1, 1, 1, 0]), np.array([False, True, True, False, True])
    hits, reciprocal = [], []
    for order in permutations(range(1, 4)):
        first = 1 + next(i for i, place in enumerate([0, *order, 4]) if gained[place])
        hits.append([first <= k for k in (1, 5, 20)])
        reciprocal.append(1 / first)
    row = of_source(scores, gained)
    assert row[:3].tolist() == pytest.approx(np.mean(hits, axis=0).tolist())
    assert row[3] == pytest.approx(np.mean(reciprocal))
    assert figures(np.array([row, [1, 1, 1, 1]])).told()["mrr"] == pytest.approx((row[3] + 1) / 2)


def test_a_question_holds_first_meetings_of_both_ends_and_only_those():
    asked = question(
        _events([
            ("a", "b", CALL, 1), ("b", "a", CALL, 50),  # met before
            ("a", "c", MESSAGE, 2), ("c", "a", CALL, 60),  # met by message only
            ("a", "c", CALL, 70), ("d", "a", CONTACT, 0), ("b", "e", CALL, 80),  # e is new
        ]), "call", 40,
    )  # fmt: skip
    names = asked.known.events.names.tolist()
    assert names == ["a", "b", "c", "d"]
    assert asked.sources.tolist() == [0, 1, 2, 4]  # the last was not seen before
    assert [g.tolist() for g in asked.gained] == [[2], [], [0], [1]]
    assert asked.strangers.tolist() == [0, 1, 0, 0]
    assert asked.unseen == 1
    assert asked.known.candidates(0).tolist() == [2, 3]  # not b, not a itself
    assert asked.known.candidates(4).tolist() == [0, 1, 2, 3]


def test_the_model_foretells_more_than_any_ranker_where_several_things_must_be_known(told):
    assert set(told["rankers"]) == {*RANKERS, *PARTS, "link_model"}
    assert told["selected"] == "link_model"
    ours = told["rankers"]["link_model"]
    for what in ("hits_at_5", "mrr"):
        assert ours[what] > max(told["rankers"][name][what] for name in RANKERS)
    for row in told["rankers"].values():
        assert 0 <= row["hits_at_1"] <= row["hits_at_5"] <= row["hits_at_20"] <= 1
        assert row["hits_at_1"] <= row["mrr"] <= 1


def test_what_happens_after_the_cutoff_changes_no_ranking(town):
    """The future's ends are dealt anew and strangers come in: the known are ordered as before, as by equal seeds."""
    later = town.at >= CUTOFF
    rng = np.random.default_rng(1)
    dealt = town.dst.copy()
    dealt[later] = rng.permutation(dealt[later])
    kept = dealt != town.src
    other = replace(
        town, names=np.append(town.names, "zz"), src=np.append(town.src[kept], town.n), dst=np.append(dealt[kept], 0),
        kind=np.append(town.kind[kept], np.int8(0)), at=np.append(town.at[kept], CUTOFF + 5),
        duration_s=np.append(town.duration_s[kept], 0),
    )  # fmt: skip
    found = []
    for events in (town, other):
        model = learn(events, "call", CUTOFF)
        known = Known(events.before(CUTOFF), "call", CUTOFF)
        found.append((model.weights, model.ranked(known, np.arange(known.n + 1))))
    (weights, (pairs, scores)), (weights2, (pairs2, scores2)) = found
    assert weights == pytest.approx(weights2, abs=1e-6)  # the order of sums in threads is free
    assert (pairs.candidate == pairs2.candidate).all()
    for name in scores:
        assert scores[name] == pytest.approx(scores2[name], abs=1e-4)


def test_no_feature_moves_with_an_event_at_its_own_time(town):
    known = question(town, "call", CUTOFF).known
    assert known.events.at.max() < CUTOFF
    at_once = town.where(np.ones(len(town), bool))
    moved = replace(at_once, at=np.where(at_once.at >= CUTOFF, CUTOFF, at_once.at))
    a = pairs_of(known, np.array([0, 1]), most=20)
    b = pairs_of(question(moved, "call", CUTOFF).known, np.array([0, 1]), most=20)
    assert all((a.columns[name] == b.columns[name]).all() for name in a.columns)


def test_a_file_too_small_to_learn_from_is_ranked_by_what_needs_no_learning():
    small = _events([("a", "b", CALL, 1), ("b", "c", CALL, 2), ("c", "d", CALL, 3), ("a", "c", CALL, 9)])
    told = race(small, 5)
    assert told["learned_from"] < 20
    assert set(told["rankers"]) == {*RANKERS, "link_model"}
    assert told["rankers"]["link_model"]["mrr"] == 1


def test_the_default_target_is_the_kind_of_more_pairs_before_the_cutoff():
    rows = [("a", "b", MESSAGE, 1.0), ("a", "c", MESSAGE, 2.0), ("a", "b", CALL, 3.0), ("a", "b", CALL, 4.0)]
    assert default_target(_events(rows), 9) == "message"
    assert default_target(_events(rows), 1.5) == "message"
    with pytest.raises(ContactEventsError, match="no call and no message"):
        default_target(_events([("a", "b", CONTACT, 0), ("a", "b", CALL, 9)]), 5)


def _written(events: ContactEvents, path: Path) -> Path:
    pl.DataFrame(
        {"src": events.names[events.src], "dst": events.names[events.dst], "kind": [KINDS[k] for k in events.kind],
         "at": events.at, "duration_s": events.duration_s}
    ).write_csv(path)  # fmt: skip
    return path


def test_the_command_prints_a_line_a_ranker_and_one_last_line_of_json(tmp_path):
    file = _written(
        _events([("a", "b", CALL, 1), ("b", "c", CALL, 2), ("c", "d", CALL, 3), ("a", "c", CALL, 9)]),
        tmp_path / "e.csv",
    )
    told = CliRunner().invoke(app, ["benchmark-leads", str(file), "--cutoff", "5", "--json"])
    assert told.exit_code == 0, told.output
    last = json.loads(told.output.strip().splitlines()[-1])
    assert set(last["rankers"]["link_model"]) == {"hits_at_1", "hits_at_5", "hits_at_20", "mrr", "seconds"}
    assert last["selected"] == "link_model"
    assert all(name[:12] in told.output for name in RANKERS)
    assert "filtered" in told.output


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--cutoff", "99"], "--cutoff must lie after the first dated event (1)"),
        (["--cutoff", "5", "--target", "message"], "Nobody has a first message with anyone"),
    ],
)
def test_the_command_says_what_is_wrong_in_a_sentence(tmp_path, more, says):
    file = _written(_events([("a", "b", CALL, 1), ("b", "c", CALL, 9)]), tmp_path / "e.csv")
    told = CliRunner().invoke(app, ["benchmark-leads", str(file), *more])
    assert told.exit_code == 1
    assert says in " ".join(told.output.split())
    assert "Traceback" not in told.output


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared folder's contact events are not here")
def test_where_almost_everyone_is_new_the_model_is_no_worse_than_the_best_ranker():
    events = read_events(DATA / "dnc-mails.csv")
    cutoff = events.at.min() + 0.7 * (events.at.max() - events.at.min())
    rankers = race(events, float(cutoff))["rankers"]
    for what in ("hits_at_5", "mrr"):
        assert rankers["link_model"][what] >= max(rankers[name][what] for name in RANKERS)
