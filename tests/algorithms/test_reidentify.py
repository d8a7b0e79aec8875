"""Numbers that change: a random part of a small town, and a whole ring on one day, its leader included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from algorithms.__main__ import app
from algorithms.leads.contact_events import ContactEvents, ContactEventsError, read_events
from algorithms.leads.reidentify import assigned, reidentify
from benchmarks.contact_events import at_share, judged, renamed

DAY = 86_400
CUTOFF = 30.0 * DAY
RING = np.arange(200, 212)
DATA = Path(__file__).parents[3] / "shared" / "data" / "contact-events"


def _town(seed: int = 0, people: int = 200) -> ContactEvents:
    """Sixty days of calls: everyone has a circle of a few, some dearer than others.

    The ring of twelve mostly call each other; three of them call others, too, and its leader, 200, nobody else.
    """
    rng = np.random.default_rng(seed)
    src, dst, rate = [], [], []
    for person in range(people):
        near = (person + rng.integers(1, 12, 6)) % people
        for other in {int(x) for x in np.append(near, rng.integers(0, people, 2))} - {person}:
            src.append(person), dst.append(other), rate.append(rng.gamma(0.7, 0.3))
    for i, one in enumerate(RING):
        for other in RING[i + 1 :]:
            if rng.random() < 0.6 or one == RING[0]:
                src.append(int(one)), dst.append(int(other)), rate.append(rng.gamma(1.0, 0.5))
        if i % 4 == 1:
            for other in rng.integers(0, people, 2):
                src.append(int(one)), dst.append(int(other)), rate.append(0.15)
    times = rng.poisson(np.array(rate) * 60)
    a, b = np.repeat(src, times), np.repeat(dst, times)
    hour = rng.normal(9 + (a * 7) % 12, 1.5) % 24
    at = np.floor(rng.integers(0, 60, len(a)) * DAY + hour * 3600 + 1)
    names = np.array([f"n{i:03d}" for i in range(people + len(RING))])
    events = ContactEvents(names, a, b, np.zeros(len(a), np.int8), at, rng.integers(5, 300, len(a)).astype(float))
    assert len(events.where(np.ones(len(a), bool)).names) == len(names)
    return events


def test_a_random_part_of_the_numbers_is_found_again():
    town = _town()
    told = judged(town, CUTOFF, np.random.default_rng(1).choice(200, 30, replace=False))
    assert told["changed"] == 30
    assert told["hits_at_1"] >= 0.8
    assert told["hits_at_5"] >= 0.9


def test_a_ring_that_changes_all_its_numbers_on_one_day_is_found_with_its_leader():
    town = _town()
    told = judged(town, CUTOFF, RING)
    assert told["hits_at_1"] >= 0.75
    assert told["hits_at_5"] >= 0.9
    changed = renamed(town, CUTOFF, RING)
    one, all_rounds = (
        reidentify(changed, CUTOFF, rounds=rounds).table().filter((pl.col("old") == "n200") & (pl.col("rank") == 1))
        for rounds in (1, 8)
    )
    assert all_rounds["new"].to_list() == ["~n200"]
    assert all_rounds["score"][0] > 2 * one["score"][0]  # nobody outside knows the leader: the rounds make it sure


def test_scores_are_chances_in_order_and_low_where_nobody_is_similar():
    town = renamed(_town(), CUTOFF, np.arange(0, 200, 9))
    late = town.dated & (town.at >= CUTOFF)
    gone = np.array([name in {"n004", "n031", "n077"} for name in town.names])
    town = town.where(~(late & (gone[town.src] | gone[town.dst])))  # three fall silent and come back as nobody
    table = reidentify(town, CUTOFF, top=3).table()
    assert table["score"].is_between(0, 1).all()
    assert (table.group_by("old").agg(pl.col("score").sum())["score"] <= 1 + 1e-6).all()
    assert (table.group_by("old").len()["len"] <= 3).all()
    for _, of in table.group_by("old"):
        assert of["rank"].to_list() == list(range(1, of.height + 1))
        assert of["score"].is_sorted(descending=True)
    best = table.filter(pl.col("rank") == 1)
    lost = best.filter(pl.col("old").is_in(["n004", "n031", "n077"]))["score"]
    found = best.filter(pl.col("new") == pl.format("~{}", "old"))["score"]
    assert lost.max() < 0.3 < found.median()


def test_the_same_events_in_another_order_give_the_same_table():
    town = renamed(_town(), CUTOFF, RING)
    order = np.random.default_rng(3).permutation(len(town))
    turned = ContactEvents(
        town.names, town.src[order], town.dst[order], town.kind[order], town.at[order], town.duration_s[order]
    )
    a, b = reidentify(town, CUTOFF).table(), reidentify(turned, CUTOFF).table()
    assert a.select("old", "new", "rank").equals(b.select("old", "new", "rank"))
    assert np.abs(a["score"].to_numpy() - b["score"].to_numpy()).max() < 1e-5


def test_chances_leave_room_for_nobody_and_for_one_each():
    rows, columns = np.array([0, 0, 1]), np.array([0, 1, 1])
    chance = assigned(rows, columns, np.array([1e-9, 1e-9, 1e-9]))
    assert chance.max() < 1e-8
    sure = assigned(rows, columns, np.array([900.0, 900.0, 900.0]))
    assert sure[0] > 0.8  # the second column is needed by row 1
    assert sure[1] < 0.2
    assert len(assigned(rows[:0], columns[:0], np.empty(0))) == 0


def test_a_file_of_few_numbers_and_one_without_newcomers_are_answered():
    one = np.array([0, 0, 0, 3, 3]), np.array([1, 2, 1, 1, 2]), np.array([1.0, 2, 5, 11, 12]) * DAY
    few = ContactEvents(np.array(list("abcd")), one[0], one[1], np.zeros(5, np.int8), one[2], np.zeros(5))
    assert reidentify(few, 10.0 * DAY).table()["new"].to_list() == ["d"]
    alone = few.where(few.src == 0)
    assert reidentify(alone, 4.0 * DAY).table().height == 0
    with pytest.raises(ContactEventsError, match="1 or more"):
        reidentify(few, 10.0 * DAY, top=0)


def _written(events: ContactEvents, path: Path) -> Path:
    pl.DataFrame(
        {"src": events.names[events.src], "dst": events.names[events.dst], "kind": "call", "at": events.at.astype(int),
         "duration_s": events.duration_s.astype(int)}
    ).write_csv(path)  # fmt: skip
    return path


def test_the_command_writes_old_new_rank_score(tmp_path):
    file = _written(renamed(_town(), CUTOFF, RING), tmp_path / "town.csv")
    out = tmp_path / "who.csv"
    told = CliRunner().invoke(app, ["reidentify", str(file), "--cutoff", str(CUTOFF), "--top", "2", "--out", str(out)])
    assert told.exit_code == 0, told.output
    assert "12 numbers fell silent" in told.output
    table = pl.read_csv(out)
    assert table.columns == ["old", "new", "rank", "score"]
    assert table["rank"].max() == 2
    printed = CliRunner().invoke(app, ["reidentify", str(file), "--cutoff", str(CUTOFF)])
    assert printed.output.startswith("old,new,rank,score\nn200,")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--cutoff", "1"], "--cutoff must lie after the first dated event"),
        (["--cutoff", str(CUTOFF), "--top", "0"], "--top and rounds must be 1 or more"),
        (["--cutoff", str(CUTOFF), "--out", "who.txt"], "--out must be a .csv"),
    ],
)
def test_the_command_says_what_is_wrong_in_a_sentence(tmp_path, more, says):
    file = _written(_town(), tmp_path / "town.csv")
    told = CliRunner().invoke(app, ["reidentify", str(file), *more])
    assert told.exit_code == 1
    assert says in " ".join(told.output.split())
    assert "Traceback" not in told.output


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared folder's contact events are not here")
def test_on_real_students_most_who_change_are_found():
    events = read_events(DATA / "students-14-days.csv")
    who = np.random.default_rng(1).choice(events.n, 60, replace=False)
    told = judged(events, at_share(events, 0.6), who)
    assert told["hits_at_1"] >= 0.7
    assert told["hits_at_5"] >= 0.85
