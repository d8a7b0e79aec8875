"""One snapshot to rings, without Spark: small tables in view."""

import datetime as dt
from pathlib import Path

import polars as pl

from algorithms.rings.detection import detect
from algorithms.rings.reference import Reference
from algorithms.rings.rules import read_rules
from algorithms.rings.snapshot import Tables

AT = dt.datetime(2026, 6, 30, 23, 59, tzinfo=dt.UTC)
_TIME = pl.Datetime("us", "UTC")
SCHEMAS = {
    "applications": {"person_id": pl.String, "application_id": pl.String, "applied_at": _TIME, "amount_cny": pl.Float64,
                     "channel": pl.String, "blanks": pl.Int32},
    "own_phones": {"phone": pl.String, "person_id": pl.String, "since": _TIME, "opened_at": _TIME},
    "loans": {"person_id": pl.String, "loan_id": pl.String, "principal_cny": pl.Float64, "paid_cny": pl.Float64,
              "missed": pl.Int64, "paid": pl.Int64, "first_missed": pl.Boolean},
    "labels": {"person_id": pl.String, "fraud": pl.Boolean},
    "behavior": {"person_id": pl.String, "contacts_listed": pl.Int64, "emergencies_listed": pl.Int64,
                 "emergencies_called": pl.Int64, "calls": pl.Int64, "phones_called": pl.Int64, "handsets": pl.Int64},
    "stars": {"view": pl.String, "node": pl.String, "person_id": pl.String, "first_at": _TIME, "last_at": _TIME,
              "events": pl.Int64, "listed": pl.Boolean},
    "ties": {"src": pl.String, "dst": pl.String, "kind": pl.String, "events": pl.Int64, "seconds": pl.Int64,
             "first_at": _TIME},
    "books": {"person_id": pl.String, "numbers": pl.Int64, "minhash": pl.List(pl.Int64)},
}  # fmt: skip
NO_HUBS = pl.DataFrame(schema={"node": pl.String, "hub_kind": pl.String})


def _tables(folder: Path, **rows: list[dict]) -> Tables:
    for name, schema in SCHEMAS.items():
        (folder / name).mkdir(parents=True)
        pl.DataFrame(rows.get(name, []), schema=schema).write_parquet(folder / name / "part.parquet")
    return Tables(folder)


def _star(view: str, node: str, persons: list[str], **more) -> list[dict]:
    return [
        {"view": view, "node": node, "person_id": p, "first_at": AT, "last_at": AT, "events": 1, **more}
        for p in persons
    ]


def _applied(persons: list[str], days: float) -> list[dict]:
    step = dt.timedelta(days=days / max(1, len(persons) - 1))
    return [
        {"person_id": p, "application_id": f"L{p}", "applied_at": AT - dt.timedelta(days=30) + i * step, "blanks": 2}
        for i, p in enumerate(persons)
    ]  # fmt: skip


HONEST = [f"h{i}" for i in range(200)]
SIX = [f"r{i}" for i in range(6)]


def test_an_empty_snapshot_holds_no_rings(tmp_path):
    found = detect(_tables(tmp_path), NO_HUBS, read_rules(), AT)
    assert len(found.people) == len(found.scored) == len(found.rings) == 0


def test_persons_who_share_nothing_are_in_no_ring(tmp_path):
    found = detect(_tables(tmp_path, applications=_applied(HONEST, 300)), NO_HUBS, read_rules(), AT)
    assert len(found.people) == 200
    assert not found.rings


def _world(tmp_path: Path, persons: list[str], days: float, ties: list[dict], **facts) -> Tables:
    long_ago = dt.timedelta(days=270)
    honest = [{**row, "applied_at": row["applied_at"] - long_ago} for row in _applied(HONEST, 300)]
    return _tables(
        tmp_path, applications=honest + _applied(persons, days),
        stars=_star("device", "dev_1", persons),
        behavior=[{"person_id": p, "handsets": 1, "calls": 90, "phones_called": 30, "contacts_listed": 100}
                  for p in HONEST + persons],
        ties=ties, **facts,
    )  # fmt: skip


def test_six_on_one_handset_within_three_days_are_a_ring_and_the_handset_carries_it(tmp_path):
    found = detect(_world(tmp_path, SIX, 3, []), NO_HUBS, read_rules(), AT)
    ring = found.rings[0]
    assert sorted(found.people[ring.members]["person_id"]) == SIX
    assert found.score(ring.logit) > 0.5
    assert found.without(ring) == {("dev_1",): 0.0}


def test_three_kin_who_talk_and_share_a_handset_are_a_family(tmp_path):
    family = SIX[:3]
    ties = [
        {"src": a, "dst": b, "kind": kind, "events": 5, "seconds": 600, "first_at": AT}
        for a in family for b in family if a != b for kind in ("kin", "call")
    ]  # fmt: skip
    assert not detect(_world(tmp_path, family, 200, ties), NO_HUBS, read_rules(), AT).rings


def test_a_known_hub_joins_nobody_by_itself(tmp_path):
    hub = pl.DataFrame({"node": ["dev_1"], "hub_kind": ["shop_device"]})
    tables = _world(tmp_path, SIX, 3, [])
    with_hub, without = (detect(tables, hubs, read_rules(), AT) for hubs in (hub, NO_HUBS))
    assert max((r.logit for r in with_hub.rings), default=-9) < without.rings[0].logit


def test_the_order_of_the_rows_decides_nothing(tmp_path):
    tables = _world(tmp_path / "a", SIX, 3, [])
    shuffled = tmp_path / "b"
    for name in SCHEMAS:
        (shuffled / name).mkdir(parents=True)
        rows = tables.read(name)
        rows.sample(fraction=1, shuffle=True, seed=5).write_parquet(shuffled / name / "part.parquet")
    one, two = (detect(t, NO_HUBS, read_rules(), AT) for t in (tables, Tables(shuffled)))
    assert [(r.members, r.logit) for r in one.rings] == [(r.members, r.logit) for r in two.rings]


def test_communities_start_from_last_night(tmp_path):
    tables = _world(tmp_path, SIX, 3, [])
    first = detect(tables, NO_HUBS, read_rules(), AT)
    before = first.people.select("person_id", society=pl.Series(first.societies.astype("int64")))
    again = detect(tables, NO_HUBS, read_rules(), AT, societies=before)
    assert (again.societies == first.societies).all()


TEN = [f"s{i}" for i in range(10)]


def _two_rings(folder: Path, *more: dict) -> Tables:
    honest = [{**row, "applied_at": row["applied_at"] - dt.timedelta(days=270)} for row in _applied(HONEST, 300)]
    late = [{**row, "applied_at": row["applied_at"] + dt.timedelta(days=9)} for row in _applied(TEN, 2)]
    return _tables(
        folder, applications=honest + _applied(SIX, 3) + late,
        stars=_star("device", "dev_1", SIX) + _star("device", "dev_2", TEN) + list(more),
    )  # fmt: skip


def test_a_ring_that_nothing_touched_is_not_looked_at_again_and_says_the_same_as_in_a_full_run(tmp_path):
    last = detect(_two_rings(tmp_path / "monday"), NO_HUBS, read_rules(), AT)
    for ring in last.rings:
        last.without(ring)
    tuesday = _two_rings(tmp_path / "tuesday", *_star("device", "dev_3", TEN[:4]))
    at = AT + dt.timedelta(days=1)
    usual = Reference.from_json(last.usual.to_json())
    with_memory, full = (detect(tuesday, NO_HUBS, read_rules(), at, standing=usual) for _ in range(2))
    assert with_memory.usual.at == AT  # Monday's reference stands
    with_memory.found_before = dict(last.found_before)
    assert len(full.rings) == 2
    for ring, twin in zip(with_memory.rings, full.rings, strict=True):
        assert (ring.members, ring.logit) == (twin.members, twin.logit)
        assert with_memory.without(ring) == full.without(twin)
    assert len(with_memory.found_before) == len(last.found_before) + 1  # the ring of ten alone
    kept = {tuple(full.people[r.members]["person_id"]): r.logit for r in full.rings}
    before = {tuple(last.people[r.members]["person_id"]): r.logit for r in last.rings}
    assert kept[tuple(SIX)] == before[tuple(SIX)]


def test_a_reference_gives_way_after_a_month_or_when_the_world_grows_or_has_a_new_view(tmp_path):
    tables = _two_rings(tmp_path / "a")
    usual = detect(tables, NO_HUBS, read_rules(), AT).usual

    def used(tables: Tables, days: int) -> dt.datetime:
        return detect(tables, NO_HUBS, read_rules(), AT + dt.timedelta(days=days), standing=usual).usual.at

    assert used(tables, 29) == AT
    assert used(tables, 30) == AT + dt.timedelta(days=30)
    new_view = _two_rings(tmp_path / "b", *_star("address", "adr_1", HONEST[:3]))
    assert used(new_view, 1) == AT + dt.timedelta(days=1)
    crowd = _tables(tmp_path / "c", applications=_applied([f"c{i}" for i in range(300)], 300))
    assert used(crowd, 1) == AT + dt.timedelta(days=1)


def test_a_reference_is_read_as_it_was_written(tmp_path):
    usual = detect(_two_rings(tmp_path), NO_HUBS, read_rules(), AT).usual
    again = Reference.from_json(usual.to_json())
    assert again.to_json() == usual.to_json()
    assert again.usual.schema == usual.usual.schema
    assert again.priors.schema == usual.priors.schema
