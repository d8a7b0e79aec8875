"""The store of a lake is at each time what `graph.as_of` says, and what comes later changes nothing of it."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from math import cos, log1p, sin, tau
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from gnn.data.intervals import micros
from gnn.data.lake import SEEDS, build
from gnn.data.own_features import OPTIONAL, STATED, NoApplicationsError
from gnn.data.seeds import FACTS
from gnn.data.store import ALWAYS, NEVER, Relation, Store, open_store
from graph import as_of
from graph.lake import Lake
from graph.schema import EDGE_BY_TABLE
from tests.gnn.worlds import Row, World
from tests.gnn.worlds import write_lake as write

Edge = tuple[str, str, int, int]  # ids of both ends, since, until
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
START = datetime(2024, 6, 1, tzinfo=UTC)
LATEST = START + 12 * DAY - timedelta(microseconds=1)


def on(day: float) -> date:
    """The day so many days after the start."""
    return (START + day * DAY).date()


def us(day: float) -> int:
    return micros(START + day * DAY)


def table(columns: str, *rows: tuple[Any, ...]) -> list[Row]:
    return [dict(zip(columns.split(), row, strict=True)) for row in rows]


@dataclass
class Opened:
    """A store with ids in place of rows."""

    store: Store
    ids: dict[str, list[str]]
    seeds: dict[str, Row]
    counts: dict[str, int]

    def edges(self, name: str, src: str | None = None) -> set[Edge]:
        """The edges of a name, and of a label at their start."""
        named = [edges for key, edges in self.all_edges().items() if key[1] == name and src in (None, key[0])]
        return set().union(*named)

    def all_edges(self) -> dict[tuple[str, str, str], set[Edge]]:
        return {rel.key: set(self._edges(rel)) for rel in self.store.relations}

    def _edges(self, rel: Relation) -> Iterator[Edge]:
        target = np.repeat(np.arange(len(rel.indptr) - 1), np.diff(rel.indptr))
        until = [NEVER] * len(rel) if rel.until is None else rel.until.tolist()
        for s, d, since, end in zip(rel.neighbor, target, rel.since.tolist(), until, strict=True):
            yield self.ids[rel.src][s], self.ids[rel.dst][d], since, end

    def by_id(self, label: str, part: str = "known") -> dict[str, Any]:
        return dict(zip(self.ids[label], getattr(self.store.nodes[label], part).tolist(), strict=True))

    def known(self, label: str, node: str) -> dict[str, int]:
        """The facts known of a node."""
        return {fact: at for fact, at in zip(FACTS, self.by_id(label)[node], strict=True) if at != NEVER}


def made(spark: SparkSession, lake: Lake, at: datetime, folder: Path, by_delivery: bool = True) -> Opened:
    counts = build(spark, lake, at, folder, by_delivery=by_delivery)
    store = open_store(folder)
    assert counts["edges"] == store.edges
    ids = {label: pl.read_parquet(folder / "nodes" / label / "ids.parquet")["id"].to_list() for label in store.nodes}
    assert all(found == sorted(set(found)) for found in ids.values())
    assert {label: len(found) for label, found in ids.items()} == {n.label: n.count for n in store.nodes.values()}
    seeds = {row["application_id"]: row for row in pl.read_parquet(folder / SEEDS).to_dicts()}
    assert all(ids["Application"][row["node"]] == key for key, row in seeds.items())
    return Opened(store, ids, seeds, counts)


# A small world in view. Ann applied on day 1, delivered on day 2 and again, with another phone, on day 4. Bob is found
# to be the same person as Ann on day 5. Bob's loan was due on day 0 and paid late, Cy's was paid and reported late.


def small_world() -> World:
    ann: Row = {
        "application_id": "ap_ann", "applicant_id": "ann", "applied_at": START + 1.5 * DAY, "phone": "tel_1",
        "employer_phone": "tel_firm", "imei": "dev_1", "amount_cny": 999.0, "gender": "female", "birth_year": 1990,
    }  # fmt: skip
    bob: Row = {"application_id": "ap_bob", "applicant_id": "bob", "applied_at": START}
    return {
        "raw/applications": [
            ann | {"delivered_on": on(2), "ended_on": on(4)},
            ann | {"delivered_on": on(4), "phone": "tel_2"},
            bob | {"delivered_on": on(0)},
            bob | {"application_id": "ap_cy", "applicant_id": "cy", "delivered_on": on(0)},
            bob | {"application_id": "ap_later", "applied_at": START + 20 * DAY, "delivered_on": on(20)},
        ],
        "raw/labels": table(
            "applicant_id label confirmed_at delivered_on ended_on", ("bob", "fraud", START + 3 * DAY, on(4), None),
            ("bob", "normal", START + 2 * DAY, on(2), None), ("ann", "fraud", START + 2 * DAY, on(2), on(3)),
            ("nobody", "fraud", START + 2 * DAY, on(2), None)),
        "raw/loans": table(
            "loan_id application_id applicant_id disbursed_at delivered_on",
            ("l", "ap_bob", "bob", START, on(0)), ("m", "ap_cy", "cy", START, on(0))),
        "raw/repayments": table(
            "loan_id due_at due_cny paid_at paid_cny delivered_on ended_on",
            ("l", START + HOUR, 9.0, None, None, on(8), on(10)),
            ("l", START + HOUR, 9.0, START + 9 * DAY, 9.0, on(10), None),
            ("l", START + DAY, 9.0, START + DAY, 9.0, on(1), None),
            ("m", START + HOUR, 9.0, None, None, on(0), on(9)),
            ("m", START + HOUR, 9.0, START + 2 * DAY, 9.0, on(9), None)),
        "graph/applicant_person": table(
            "applicant_id person_id at delivered_on ended_on", ("ann", "p", START, on(2), None),
            ("bob", "q", START, on(0), on(5)), ("bob", "p", START, on(5), None)),
        "graph/uses_phone_events": table(
            "src dst at delivered_on ended_on", ("ann", "tel_1", START + 1.5 * DAY, on(2), on(4)),
            ("bob", "tel_1", START, on(0), on(3)), ("bob", "tel_1", START, on(3), None),
            ("bob", "tel_3", None, on(6), None)),
        "graph/called_events": table("src dst at delivered_on", ("tel_1", "tel_3", None, on(6))),
        "features/application_graph": table(
            "application_id applicant_id applied_on by_delivery hub_score", ("ap_bob", "bob", on(0), "yes", 2.0)),
    }  # fmt: skip


@pytest.fixture(scope="module")
def small(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Opened, Opened]:
    """The stores of the small world: by delivery, and by event time alone."""
    root = tmp_path_factory.mktemp("small")
    lake = write(root / "lake", small_world())
    return made(spark, lake, LATEST, root / "a"), made(spark, lake, LATEST, root / "b", by_delivery=False)


def test_an_edge_holds_while_a_row_stands_and_its_applicant_is_the_person(small: tuple[Opened, Opened]) -> None:
    by_delivery, by_event = small
    expected = {
        ("p", "tel_1", us(2), us(4)), ("q", "tel_1", us(0), us(5)), ("p", "tel_1", us(5), NEVER),
        ("p", "tel_3", us(6), NEVER),
    }  # fmt: skip
    assert by_delivery.edges("USES_PHONE") == expected
    assert by_delivery.edges("rev_USES_PHONE") == {(dst, src, *times) for src, dst, *times in expected}
    assert by_event.edges("USES_PHONE") == {("p", "tel_1", us(0), NEVER), ("p", "tel_3", us(0), NEVER)}
    assert by_delivery.edges("CALLED") == {("tel_1", "tel_3", us(6), NEVER)}
    assert by_event.edges("CALLED") == {("tel_1", "tel_3", ALWAYS, NEVER)}  # without a date


def test_an_application_hears_what_it_states_at_once_and_is_found_once_delivered(small: tuple[Opened, Opened]) -> None:
    by_delivery, by_event = small
    assert by_delivery.edges("STATES_phone") == {("tel_1", "ap_ann", us(1.5), NEVER)}
    assert by_delivery.edges("rev_STATES_phone") == {("ap_ann", "tel_1", us(2), NEVER)}
    assert by_delivery.edges("STATES_employer_phone", "Phone") == {("tel_firm", "ap_ann", us(1.5), NEVER)}
    assert by_delivery.edges("STATES_imei", "Device") == {("dev_1", "ap_ann", us(1.5), NEVER)}
    assert by_delivery.edges("STATES_person") == {
        ("p", "ap_ann", us(2), NEVER), ("q", "ap_bob", us(0), us(5)), ("p", "ap_bob", us(5), NEVER),
    }  # fmt: skip
    assert by_event.edges("STATES_phone") == {("tel_2", "ap_ann", us(1.5), NEVER)}
    assert by_event.edges("rev_STATES_phone") == {("ap_ann", "tel_2", us(1.5), NEVER)}
    assert {rel.name for rel in by_delivery.store.relations} >= {f"rev_STATES_{kind}" for kind in STATED}
    assert by_delivery.ids["Application"] == ["ap_ann", "ap_bob", "ap_cy"]
    assert by_delivery.ids["Phone"] == ["tel_1", "tel_3", "tel_firm"]


def test_a_verdict_on_an_applicant_without_an_application_is_counted(small: tuple[Opened, Opened]) -> None:
    assert [opened.counts["unknown"] for opened in small] == [1, 1]


def test_the_own_features_are_those_of_the_form(small: tuple[Opened, Opened]) -> None:
    names, forms = small[0].store.nodes["Application"].features, small[0].by_id("Application", "x")
    said, nothing = (dict(zip(names, forms[node], strict=True)) for node in ("ap_ann", "ap_bob"))
    angle = tau * 20 / 24  # noon in UTC is 20 o'clock there
    expected = {
        "amount_log1p_cny": log1p(999), "applied_hour_sin": sin(angle), "applied_hour_cos": cos(angle),
        "applied_weekday": 6, "blank_count": len(OPTIONAL) - 5, "age_years": 34, "gender": -1,
        "phone_blank": 0, "name_blank": 1, "amount_cny_blank": 0, "birth_year_blank": 0, "birth_date_blank": 1,
    }  # fmt: skip
    assert {name: said[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    assert (nothing["age_years"], nothing["gender"], nothing["blank_count"]) == (0, 0, len(OPTIONAL))
    assert small[0].store.nodes["Phone"].x is None


def test_a_fact_counts_once_delivered_for_every_applicant_of_the_person(small: tuple[Opened, Opened]) -> None:
    by_delivery, by_event = small
    assert by_delivery.known("Application", "ap_bob") == {
        "fraud": us(4), "normal": us(2), "missed": us(8), "paid": us(10),
    }  # fmt: skip
    assert by_delivery.known("Application", "ap_ann") == {"fraud": us(5), "normal": us(5)}  # when bob is found to be p
    assert by_delivery.known("Application", "ap_cy") == {"paid": us(9)}
    assert by_delivery.known("Person", "q") == {"fraud": us(4), "normal": us(2)}
    assert by_delivery.known("Person", "p") == {"fraud": us(5), "normal": us(5), "missed": us(8), "paid": us(10)}
    assert by_event.known("Application", "ap_ann") == {"fraud": us(3), "normal": us(2)}
    week = {"missed": us(7 + 1 / 24), "paid": us(9)}  # a week after it was due
    assert by_event.known("Application", "ap_bob") == {"fraud": us(3), "normal": us(2)} | week


def test_seeds_are_applications_with_their_latest_verdict_and_features(small: tuple[Opened, Opened]) -> None:
    assert small[0].seeds == {
        "ap_bob": {"application_id": "ap_bob", "applicant_id": "bob", "person_id": "p", "node": 1, "at": us(0),
                   "label": 1, "label_since": us(4), "hub_score": 2.0},
        "ap_cy": {"application_id": "ap_cy", "applicant_id": "cy", "person_id": None, "node": 2, "at": us(0),
                  "label": -1, "label_since": NEVER, "hub_score": None},
        "ap_ann": {"application_id": "ap_ann", "applicant_id": "ann", "person_id": "p", "node": 0, "at": us(1.5),
                   "label": 1, "label_since": us(5), "hub_score": None},
    }  # fmt: skip
    assert list(small[0].seeds) == ["ap_bob", "ap_cy", "ap_ann"]  # in order of time
    about = small[0].store.about
    assert (about["at"], about["by_delivery"]) == (LATEST.isoformat(), True)
    assert about["lake"]["raw/applications"] == 0


def test_a_lake_of_applications_alone_is_enough_and_one_without_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(NoApplicationsError, match="Run a night"):
        build(spark, Lake(tmp_path / "empty"), LATEST, tmp_path / "store")
    lake = write(tmp_path / "lake", {"raw/applications": small_world()["raw/applications"]})
    found = made(spark, lake, LATEST, tmp_path / "store")
    assert found.ids["Application"] == ["ap_ann", "ap_bob", "ap_cy"]
    assert found.ids["Person"] == []
    assert found.edges("STATES_phone") == {("tel_1", "ap_ann", us(1.5), NEVER)}
    assert {(row["person_id"], row["label"], row["label_since"]) for row in found.seeds.values()} == {(None, -1, NEVER)}
    with pytest.raises(NoApplicationsError, match="later time"):
        build(spark, lake, START - DAY, tmp_path / "store")


# A random world: rows delivered late, ended, delivered again; applicants found to be someone else.

_ENDS = {
    "uses_phone": ("a", "t"), "lists_contact": ("a", "t"), "same_person": ("a", "a"), "called": ("t", "t"),
    "device_holds_sim": ("d", "s"), "phone_holds_sim": ("t", "s"), "company_guarantees": ("c", "c"),
}  # fmt: skip


def random_world(seed: int) -> World:
    rng = random.Random(seed)
    world: World = defaultdict(list)

    def moment(days: float = 9) -> datetime:
        return START + rng.randrange(int(days * 8)) * 3 * HOUR + timedelta(microseconds=rng.randrange(2))

    def versions(row: Row, at: datetime | None, can_end: bool = True) -> list[Row]:
        """The row as delivered, perhaps ended some days later, perhaps delivered again then."""
        day = on((at - START) // DAY if at else rng.randrange(9)) + rng.randrange(3) * DAY
        end = day + rng.randrange(4) * DAY if can_end and rng.random() < 0.5 else None
        told = [row | {"delivered_on": day, "ended_on": end}]
        return told + ([row | {"delivered_on": end}] if end and rng.random() < 0.5 else [])

    for table, (src, dst) in _ENDS.items():
        for _ in range(50):
            at = moment() if rng.random() < 0.9 else None
            ends = {"src": f"{src}{rng.randrange(6)}", "dst": f"{dst}{rng.randrange(6)}"}
            world[f"graph/{table}_events"] += versions({**ends, "at": at}, at)
    for n in range(6):
        day, person = rng.randrange(2), rng.randrange(5)
        while person is not None:
            end = day + rng.randrange(2, 6) if rng.random() < 0.6 else None
            row = {"applicant_id": f"a{n}", "person_id": f"p{person}", "delivered_on": on(day)}
            at = None if rng.random() < 0.3 else START + (day + rng.random()) * DAY
            world["graph/applicant_person"].append(row | {"at": at, "ended_on": None if end is None else on(end)})
            day, person = end or 0, None if end is None else rng.randrange(5)
    for n in range(14):
        at, mine = moment(6), {"application_id": f"ap{n}", "applicant_id": f"a{n % 6}"}
        named = {c: f"{k}{rng.randrange(6)}" if rng.random() < 0.7 else None for c, k in
                 (("phone", "t"), ("imei", "d"), ("iccid", "s"), ("ip", "n"), ("employer", "c"))}  # fmt: skip
        told = versions({**mine, **named, "applied_at": at, "amount_cny": 100.0 * n}, at)
        told[-1] |= {"amount_cny": 5.0}
        world["raw/applications"] += told
        ends = {"src": mine["applicant_id"], "dst": mine["application_id"], "at": at}
        world["graph/person_submitted_events"] += [
            ends | {name: row.get(name) for name in ("delivered_on", "ended_on")} for row in told
        ]
        for label in rng.sample(["fraud", "normal"], rng.randrange(3)):
            row = {"applicant_id": mine["applicant_id"], "label": label, "confirmed_at": moment()}
            world["raw/labels"] += versions(row, row["confirmed_at"], can_end=False)
        loan = {"loan_id": f"l{n}", **mine, "disbursed_at": START}
        world["raw/loans"] += versions(loan, START + rng.randrange(3) * DAY, can_end=False)
        for due in range(rng.randrange(3)):
            row = {"loan_id": f"l{n}", "due_at": START + (due + 1) * DAY, "due_cny": 9.0, "delivered_on": on(0)}
            paid = rng.randrange(1, 12) if rng.random() < 0.6 else 99
            then = {"paid_at": START + (paid + 0.4) * DAY, "paid_cny": 9.0, "delivered_on": on(paid)}
            world["raw/repayments"] += [row | {"ended_on": on(paid)}, row | then]
    return dict(world)


WORLD = random_world(11)
TIMES = [START + 3 * DAY - timedelta(microseconds=1), START + 4.5 * DAY, START + 7 * DAY, START + 8.3 * DAY]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return write(tmp_path_factory.mktemp("random"), WORLD)


@pytest.fixture(scope="module")
def latest(spark: SparkSession, lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return made(spark, lake, LATEST, tmp_path_factory.mktemp("latest") / "store")


def test_at_each_time_the_edges_are_those_of_as_of(spark: SparkSession, lake: Lake, latest: Opened) -> None:
    tables = [table for table in EDGE_BY_TABLE if as_of.exists(lake, f"{table}_events")]
    assert len(tables) == len(_ENDS) + 1
    for table in tables:
        edge = EDGE_BY_TABLE[table]
        asked = [as_of.edges(spark, lake, edge, at).select(F.lit(n).alias("n"), "src", "dst")
                 for n, at in enumerate(TIMES)]  # fmt: skip
        expected = {tuple(row) for row in reduce(DataFrame.unionAll, asked).collect()}
        held = latest.edges(edge.relationship, edge.src)
        found = {
            (n, src, dst) for n, at in enumerate(TIMES) for src, dst, since, until in held
            if since <= micros(at) < until
        }  # fmt: skip
        assert found == expected, table
        assert len(expected) > len(TIMES)
        back = latest.all_edges()[edge.dst, f"rev_{edge.relationship}", edge.src]
        assert back == {(dst, src, *times) for src, dst, *times in held}


@pytest.mark.parametrize("at", TIMES, ids=str)
def test_a_store_made_at_a_time_is_the_later_store_cut_at_that_time(
    at: datetime, spark: SparkSession, lake: Lake, latest: Opened, tmp_path: Path
) -> None:
    then, t = made(spark, lake, at, tmp_path / "then"), micros(at)
    delivered = {
        row["application_id"] for row in WORLD["raw/applications"]
        if row["applied_at"] <= at and row["delivered_on"] <= at.date() and row.get("ended_on") != row["delivered_on"]
    }  # fmt: skip
    ids: dict[str, set[str]] = defaultdict(set, {"Application": set(delivered)})
    for (src, name, dst), edges in latest.all_edges().items():
        cut = {(a, b, since, NEVER if until > t else until) for a, b, since, until in edges if since <= t}
        if name.startswith("STATES_"):  # a form is there before its delivery, for nobody but itself
            cut = {edge for edge in cut if edge[1] in delivered}
        assert then.all_edges()[src, name, dst] == cut, name
        ids[src] |= {edge[0] for edge in cut}
        ids[dst] |= {edge[1] for edge in cut}
    assert {label: set(found) for label, found in then.ids.items()} == {label: ids[label] for label in then.ids}
    assert set(then.seeds) == delivered
    for label in ("Application", "Person"):
        later = latest.by_id(label)
        cut_facts = {node: [k if k <= t else NEVER for k in later[node]] for node in then.ids[label]}
        assert then.by_id(label) == cut_facts
    forms = latest.by_id("Application", "x")
    assert then.by_id("Application", "x") == {node: forms[node] for node in then.ids["Application"]}


def test_facts_are_first_known_when_a_row_by_row_search_first_finds_them(latest: Opened) -> None:
    moments = sorted(
        {us(day) for day in range(13)}
        | {micros(row["confirmed_at"]) for row in WORLD["raw/labels"]}
        | {micros(row["at"]) for row in WORLD["graph/applicant_person"] if row["at"]}
    )

    def visible(row: Row, event: datetime | None, t: int) -> bool:
        ended = row.get("ended_on")
        day = (t - us(0)) // (us(1) - us(0))
        return row["delivered_on"] <= on(day) and (not ended or ended > on(day)) and (not event or micros(event) <= t)

    first: dict[tuple[str, str, str], int] = {}
    for t in (t for t in moments if t <= micros(LATEST)):
        rows = [row for row in WORLD["graph/applicant_person"] if visible(row, row["at"], t)]
        persons = {row["applicant_id"]: row["person_id"] for row in rows}
        for row in WORLD["raw/labels"]:
            if visible(row, row["confirmed_at"], t):
                person = persons.get(row["applicant_id"], "nobody")
                first.setdefault(("Person", person, row["label"]), t)
                for form in WORLD["raw/applications"]:
                    if form["applicant_id"] == row["applicant_id"] or persons.get(form["applicant_id"]) == person:
                        first.setdefault(("Application", form["application_id"], row["label"]), t)
    found = {
        (label, node, fact): at for label in ("Application", "Person") for node in latest.ids[label]
        for fact, at in latest.known(label, node).items() if fact in ("fraud", "normal")
    }  # fmt: skip
    held = {key: at for key, at in first.items() if key[1] in latest.ids[key[0]]}
    assert found == held
    assert len(found) > 20
    other = {fact for node in latest.ids["Person"] for fact in latest.known("Person", node)}
    assert other == set(FACTS)  # so that the other tests do not compare nothing


@pytest.mark.parametrize("by_delivery", [True, False], ids=["by_delivery", "by_event_time"])
def test_a_planted_future_changes_nothing(by_delivery: bool, spark: SparkSession, tmp_path: Path) -> None:
    at = TIMES[1] if by_delivery else LATEST
    clean = made(spark, write(tmp_path / "clean", WORLD), at, tmp_path / "a", by_delivery)
    planted = made(spark, write(tmp_path / "planted", future(WORLD, at, by_delivery)), at, tmp_path / "b", by_delivery)
    assert planted.store.about["digest"] == clean.store.about["digest"]
    assert (planted.ids, planted.seeds) == (clean.ids, clean.seeds)
    assert clean.store.edges > 100
    later = made(spark, Lake(tmp_path / "planted"), at + 3 * DAY, tmp_path / "c", by_delivery)
    assert later.store.about["digest"] != clean.store.about["digest"]  # a leak would show


_EVENT = {"raw/applications": "applied_at", "raw/labels": "confirmed_at", "raw/loans": "disbursed_at"}


def future(world: World, at: datetime, by_delivery: bool) -> World:
    """Copy every row into the time after `at`, delivered at once; and, where deliveries count, copy it as delivered the
    day after, with the opposite verdict, and let that day end every row."""
    whole, tomorrow = deepcopy(world), at.date() + DAY
    for name, rows in world.items():
        event = _EVENT.get(name, "at")  # an instalment has none
        if by_delivery:
            for row in whole[name]:
                if row["delivered_on"] > at.date():
                    row["delivered_on"] += 20 * DAY  # still later
                if not row.get("ended_on") or row["ended_on"] > at.date():
                    row["ended_on"] = max(tomorrow, row["delivered_on"] + DAY)
        for n, row in enumerate(rows):
            new = row | {"ended_on": None}
            if "label" in row:
                new["label"] = "fraud" if row["label"] == "normal" else "normal"
            for key in {"application_id", "person_id", "dst"} & row.keys():
                new[key] = f"planted{n % 9}"
            if name == "raw/repayments":
                new["due_at"] = row["due_at"] - HOUR  # due before the others
            if by_delivery:
                whole[name].append(new | {"delivered_on": tomorrow})
            if event in row:
                whole[name].append(new | {event: at + timedelta(microseconds=1 + n), "delivered_on": on(0)})
    return whole
