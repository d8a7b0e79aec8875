"""A graph store comes back from its folder as it was written; what made it, as few intervals as say the same."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gnn.data.intervals import islands
from gnn.data.store import ALWAYS, NEVER, NodeSet, Store, StoreError, open_store, relation, write_store

# Three people and two phones: 0 and 2 share phone 1, and person 2 gave it up at time 9.


def small_store() -> Store:
    ends = (np.array([2, 0, 1, 2]), np.array([1, 1, 0, 0]))
    times = (np.array([5, 5, 7, 1]), np.array([9, NEVER, NEVER, NEVER]))
    people = NodeSet(
        "Person", 3, ("age_years",), np.array([[1], [2], [3]], np.float32), ("fraud",), np.full((3, 1), NEVER)
    )
    relations = (
        relation("USES_PHONE", "Person", "Phone", ends, 2, *times),
        relation("rev_USES_PHONE", "Phone", "Person", (ends[1], ends[0]), 3, times[0]),
        relation("CALLED", "Phone", "Phone", (np.array([], np.int64), np.array([], np.int64)), 2),
    )
    return Store({"Person": people, "Phone": NodeSet("Phone", 2)}, relations, {"at": "today"})


def test_a_store_comes_back_as_it_was_written(tmp_path: Path) -> None:
    store, ids = small_store(), {"Phone": pa.table({"id": ["t1", "t2"]})}
    digest = write_store(store, tmp_path / "store", ids)
    found = open_store(tmp_path / "store")
    assert found.about == {"at": "today", "digest": digest}
    assert found.schema() == store.schema()
    assert found.schema_digest() == store.schema_digest()
    assert found.edges == 8
    for mine, back in zip(store.relations, found.relations, strict=True):
        assert back.key == mine.key
        for name in ("indptr", "neighbor", "since", "until"):
            expected, got = getattr(mine, name), getattr(back, name)
            assert (got is None) == (expected is None)
            if expected is not None:
                np.testing.assert_array_equal(got, expected)
                assert got.dtype == expected.dtype
    person, phone = found.nodes["Person"], found.nodes["Phone"]
    np.testing.assert_array_equal(person.x, store.nodes["Person"].x)
    np.testing.assert_array_equal(person.known, store.nodes["Person"].known)
    assert (person.features, person.facts, person.count) == (("age_years",), ("fraud",), 3)
    assert (phone.x, phone.known, phone.count) == (None, None, 2)
    assert pq.read_table(tmp_path / "store" / "nodes" / "Phone" / "ids.parquet").to_pydict() == {"id": ["t1", "t2"]}


def test_the_edges_of_a_node_are_in_order_of_time_so_that_the_past_is_a_prefix() -> None:
    uses = small_store().relations[0]
    assert uses.indptr.tolist() == [0, 2, 4]
    assert uses.neighbor.tolist() == [2, 1, 0, 2]
    assert uses.since.tolist() == [1, 7, 5, 5]
    assert uses.until is not None
    assert uses.until.tolist() == [NEVER, NEVER, NEVER, 9]


def test_edges_without_times_are_always_known_and_ends_that_never_come_are_not_kept() -> None:
    ends = (np.array([0, 1]), np.array([1, 0]))
    assert relation("SAME", "Person", "Person", ends, 2).since.tolist() == [ALWAYS, ALWAYS]
    assert relation("SAME", "Person", "Person", ends, 2, np.array([1, 2]), np.full(2, NEVER)).until is None


def test_what_is_read_cannot_be_changed(tmp_path: Path) -> None:
    write_store(small_store(), tmp_path / "store")
    for array in (open_store(tmp_path / "store").relations[0].since, open_store(tmp_path / "store").nodes["Person"].x):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0  # type: ignore[index]


def test_the_same_graph_has_the_same_digest_and_another_has_another(tmp_path: Path) -> None:
    store = small_store()
    first = write_store(store, tmp_path / "a")
    assert write_store(replace(store, about={"at": "tomorrow"}), tmp_path / "b") == first
    other = replace(store.relations[0], since=store.relations[0].since + 1)
    assert write_store(replace(store, relations=(other,)), tmp_path / "b") != first


def test_a_store_replaces_the_one_before_it(tmp_path: Path) -> None:
    write_store(small_store(), tmp_path / "store", {"Phone": pa.table({"id": ["t1", "t2"]})})
    write_store(replace(small_store(), relations=()), tmp_path / "store")
    assert open_store(tmp_path / "store").relations == ()
    assert not (tmp_path / "store" / "relations").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_the_schema_tells_types_and_features_and_no_counts() -> None:
    store = small_store()
    people = store.nodes["Person"]
    larger = replace(store, nodes=store.nodes | {"Person": replace(people, count=9)})
    assert larger.schema_digest() == store.schema_digest()
    wider = replace(store, nodes=store.nodes | {"Person": replace(people, features=("age_days",))})
    assert wider.schema_digest() != store.schema_digest()


@pytest.mark.parametrize("ends", [([0], [2]), ([0], [-1]), ([-1], [0])])
def test_an_edge_to_no_node_is_refused(ends: tuple[list[int], list[int]]) -> None:
    with pytest.raises(StoreError, match="Phone has 2 nodes"):
        relation("USES_PHONE", "Person", "Phone", (np.array(ends[0]), np.array(ends[1])), 2)


def test_a_folder_without_a_store_or_of_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is none"):
        open_store(tmp_path)
    (tmp_path / "store.json").write_text('{"layout": 0}')
    with pytest.raises(StoreError, match="has layout 0"):
        open_store(tmp_path)


def test_intervals_that_overlap_or_touch_become_one() -> None:
    rng = random.Random(3)
    starts = [(rng.randrange(6), rng.randrange(6), rng.randrange(30)) for _ in range(400)]
    rows = [(*start, start[2] + rng.randrange(1, 8)) for start in starts]
    found = islands(pl.DataFrame(rows, ("src", "dst", "since", "until"), orient="row")).rows()
    days = defaultdict(set)
    for src, dst, since, until in rows:
        days[src, dst] |= set(range(since, until))
    expected = {
        (*pair, day, next(end for end in range(day, 40) if end not in held))
        for pair, held in days.items() for day in held if day - 1 not in held
    }  # fmt: skip
    assert len(found) == len(expected)
    assert set(found) == expected
