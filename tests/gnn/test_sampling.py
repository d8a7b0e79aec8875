"""Neighborhoods as of each seed's time, against a reader that goes edge by edge."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnn.data.store import NEVER, NodeSet, Store, relation
from gnn.sampling.temporal import SamplingError, TemporalSampler
from tests.gnn.worlds import random_store, standing

SEEDS = st.lists(st.tuples(st.integers(0, 11), st.integers(-5, 110)), min_size=1, max_size=8)


def _sampled(store, fanouts, seeds, **options):
    rows, times = (np.array(part) for part in zip(*seeds, strict=True))
    return TemporalSampler(store, fanouts, **options).sample("person", rows, times)


@settings(deadline=None, max_examples=60)  # the first call compiles
@given(seed=st.integers(0, 50), seeds=SEEDS, half_life=st.sampled_from([None, 1e-9]), take=st.integers(1, 4))
def test_no_edge_is_later_than_the_seed_nor_had_ended_and_none_is_drawn_twice(seed, seeds, half_life, take):
    store = random_store(seed)
    batch = _sampled(store, [take, take], seeds, half_life_days=half_life)
    for edges in batch.edges:
        rel = store.relations[edges.relation]
        nodes, others = batch.nodes[rel.dst], batch.nodes[rel.src]
        for i in range(len(edges.offsets) - 1):
            here = range(edges.offsets[i], edges.offsets[i + 1])
            stand = standing(store, edges.relation, nodes.rows[i], nodes.times[i])
            drawn = [int(edges.position[k]) for k in here]
            assert len(drawn) == len(set(drawn)) == min(take, len(stand))
            assert set(drawn) <= set(stand)
            for k in here:  # the other end stands at the same time, so that nothing later is seen through it
                assert others.rows[edges.source[k]] == rel.neighbor[edges.position[k]]
                assert others.times[edges.source[k]] == nodes.times[i]


@settings(deadline=None, max_examples=60)  # the first call compiles
@given(seed=st.integers(0, 50), seeds=SEEDS)
def test_with_room_for_all_every_standing_edge_within_two_steps_is_there_once(seed, seeds):
    store = random_store(seed)
    batch = _sampled(store, [99, 99], seeds)
    reached = {("person", row, time) for row, time in seeds}
    edges = set()
    for _ in range(2):
        for label, row, time in list(reached):
            for i, rel in enumerate(store.relations):
                if rel.dst == label:
                    for k in standing(store, i, row, time):
                        edges.add((i, k, time))
                        reached.add((rel.src, int(rel.neighbor[k]), time))
    told = [
        (e.relation, int(p), int(t))
        for e in batch.edges
        for p, t in zip(
            e.position,
            np.repeat(batch.nodes[store.relations[e.relation].dst].times[: len(e.offsets) - 1], np.diff(e.offsets)),
            strict=True,
        )
    ]
    nodes = [(name, int(r), int(t)) for name, n in batch.nodes.items() for r, t in zip(n.rows, n.times, strict=True)]
    twins = len(seeds) - len(set(seeds))
    assert set(told) == edges
    assert set(nodes) == reached
    assert len(nodes) == len(set(nodes)) + twins
    if not twins:
        assert len(told) == len(set(told))


def test_seeds_come_first_one_each_in_the_order_asked():
    asked = [(3, 50), (5, 60), (3, 50), (3, 70)]
    batch = _sampled(random_store(1), [2], asked)
    assert batch.seeds == {"person": 4}
    people = batch.nodes["person"]
    assert list(zip(people.rows[:4].tolist(), people.times[:4].tolist(), strict=True)) == asked


def test_what_is_drawn_for_a_seed_does_not_depend_on_what_else_is_in_the_batch():
    store = random_store(3, edges=400)
    alone = _sampled(store, [3], [(4, 80)])
    among = _sampled(store, [3], [(i, 20 + i) for i in range(12)] + [(4, 80)])
    at = list(zip(among.nodes["person"].rows, among.nodes["person"].times, strict=True)).index((4, 80))
    for one, many in zip(alone.edges, among.edges, strict=True):
        if store.relations[one.relation].dst == "person":
            assert one.position.tolist() == many.position[many.offsets[at] : many.offsets[at + 1]].tolist()


def test_what_happens_later_changes_no_draw():
    """The same seed in a store that ends at its time, and in one that goes on: the offline and the online sub-graph."""
    rng = np.random.default_rng(0)
    ends, since = (rng.integers(0, 50, 4000), rng.integers(0, 50, 4000)), rng.integers(0, 1000, 4000)
    then = since <= 500
    nodes = {"person": NodeSet("person", 50)}
    later = Store(nodes, (relation("KNOWS", "person", "person", ends, 50, since),))
    now = Store(nodes, (relation("KNOWS", "person", "person", (ends[0][then], ends[1][then]), 50, since[then]),))
    for half_life in (None, 1e-9):
        a, b = (_sampled(s, [5, 5], [(r, 500) for r in range(50)], half_life_days=half_life) for s in (later, now))
        assert a.nodes["person"].rows.tolist() == b.nodes["person"].rows.tolist()
        assert a.edges[0].source.tolist() == b.edges[0].source.tolist()


def test_every_edge_is_as_likely_to_be_drawn():
    store = Store({"n": NodeSet("n", 21)}, (relation("to", "n", "n", (np.arange(1, 21), np.zeros(20, int)), 21),))
    counts = np.zeros(21)
    for seed in range(4000):
        batch = TemporalSampler(store, [5], seed=seed).sample("n", np.array([0]))
        counts[batch.nodes["n"].rows[1:]] += 1
    expected = 4000 * 5 / 20
    assert ((counts[1:] - expected) ** 2 / expected).sum() < 43.8  # chi-squared, 19 degrees of freedom, p = 0.001


def test_recency_prefers_what_is_new_by_its_half_life():
    hour = 3_600_000_000
    since = np.array([0] * 10 + [24 * hour] * 10)  # ten old edges, ten a day younger
    store = Store(
        {"n": NodeSet("n", 21)}, (relation("to", "n", "n", (np.arange(1, 21), np.zeros(20, int)), 21, since),)
    )
    new = 0
    for seed in range(3000):
        batch = TemporalSampler(store, [1], half_life_days=1, seed=seed).sample(
            "n", np.array([0]), np.array([24 * hour])
        )
        new += int(batch.nodes["n"].rows[1] > 10)
    assert abs(new / 3000 - 2 / 3) < 0.03


def test_of_a_hub_whose_edges_ended_the_standing_ones_are_found():
    n = 20_000
    until = np.where(np.arange(n) % 4 == 0, NEVER, 50)
    store = Store(
        {"n": NodeSet("n", n + 1)},
        (relation("to", "n", "n", (np.arange(1, n + 1), np.zeros(n, int)), n + 1, np.zeros(n, int), until),),
    )
    batch = TemporalSampler(store, [10]).sample("n", np.array([0]), np.array([60]))
    assert len(batch.edges[0].position) == 10
    assert (store.relations[0].until[batch.edges[0].position] == NEVER).all()


@pytest.mark.parametrize(
    ("fanouts", "options", "says"),
    [
        ([], {}, "a fan-out of 0 or more for each hop"),
        ([3, -1], {}, "a fan-out of 0 or more"),
        ([3], {"relations": {"KNEW": [2]}}, "the store has not: ['KNEW']"),
        ([3], {"half_life_days": 0}, "above 0 days"),
    ],
)
def test_what_cannot_be_sampled_is_refused_by_name(fanouts, options, says):
    with pytest.raises(SamplingError) as told:
        TemporalSampler(random_store(0), fanouts, **options)
    assert says in str(told.value)


def test_a_seed_that_does_not_exist_is_refused():
    sampler = TemporalSampler(random_store(0), [2])
    with pytest.raises(SamplingError, match="rows are 0 to 11"):
        sampler.sample("person", np.array([12]))
    with pytest.raises(SamplingError, match="no nodes of label 'ring'"):
        sampler.sample("ring", np.array([0]))


def test_a_planted_future_that_tells_all_tells_nothing():
    """Each seed is linked to its label's own node, but only after its time; before, to either. AUC 0.50 ± 0.01."""
    from sklearn.metrics import roc_auc_score

    n, rng = 40_000, np.random.default_rng(2)
    y, times = rng.integers(0, 2, n), rng.integers(100, 1000, n)
    told = np.array([[0.0], [1.0]], np.float32)
    src = np.concatenate([y, rng.integers(0, 2, n)])
    since = np.concatenate([times + 1, times - rng.integers(0, 100, n)])
    edges = relation("SAYS", "mark", "seed", (src, np.tile(np.arange(n), 2)), n, since)
    store = Store({"seed": NodeSet("seed", n), "mark": NodeSet("mark", 2, ("says",), told)}, (edges,))

    def auc(asked: np.ndarray, half_life: float | None) -> float:
        batch = TemporalSampler(store, [2], half_life_days=half_life).sample("seed", np.arange(n), asked)
        edges = batch.edges[0]
        sums = np.add.reduceat(told[batch.nodes["mark"].rows[edges.source], 0], edges.offsets[:-1])
        return float(roc_auc_score(y, sums / np.diff(edges.offsets)))

    for half_life in (None, 1e-9):
        assert abs(auc(times, half_life) - 0.5) < 0.01
        assert auc(times + 1, half_life) > 0.8  # a leak of one microsecond would show
