"""The local engine against networkx and python-louvain, and what must hold whatever the order of the rows."""

from __future__ import annotations

import community as louvain
import networkx as nx
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.communities import ego, local, measures
from algorithms.communities.agreement import agreement
from algorithms.communities.arrays import BadEdgesError, MethodMissingError
from algorithms.communities.contraction import modularity
from algorithms.communities.edge_files import edge_table
from algorithms.communities.engine import METHODS, LocalEngine

ENGINE = LocalEngine()


def random_graph(seed: int) -> nx.Graph:
    if seed % 2:
        return nx.gnm_random_graph(80, 60 + 8 * seed, seed=seed)
    return nx.planted_partition_graph(6, 15, 0.35, 0.01 + 0.002 * seed, seed=seed)


def frame(graph: nx.Graph) -> pl.DataFrame:
    return pl.DataFrame([(a, b) for a, b in graph.edges], schema={"src": pl.Int64, "dst": pl.Int64}, orient="row")


def nodes(graph: nx.Graph) -> pl.DataFrame:
    return pl.DataFrame({"id": list(graph)})


def column(table: pl.DataFrame, name: str) -> dict[int, float]:
    return dict(table.select("id", name).iter_rows())


@pytest.mark.parametrize("seed", range(20))
def test_measures_agree_with_networkx_on_random_graphs(seed: int) -> None:
    graph = random_graph(seed)
    edges, named = frame(graph), nodes(graph)
    expected = {v: min(part) for part in nx.connected_components(graph) for v in part}
    assert column(ENGINE.components(edges, named), "component") == expected
    assert column(ENGINE.core_numbers(edges, named), "core") == nx.core_number(graph)
    assert column(ENGINE.triangles(edges, named), "triangles") == nx.triangles(graph)
    assert column(ENGINE.pagerank(edges, named), "pagerank") == pytest.approx(nx.pagerank(graph, tol=1e-10), abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_modularity_is_at_least_that_of_python_louvain_less_one_percent(seed: int) -> None:
    graph = random_graph(seed)
    theirs = louvain.modularity(louvain.best_partition(graph, random_state=0), graph)
    for method in ("leiden", "louvain"):
        found = column(ENGINE.communities(frame(graph), nodes(graph), method=method), "community")
        groups = [{v for v in graph if found[v] == number} for number in set(found.values())]
        ours = nx.community.modularity(graph, groups)
        assert ours >= 0.99 * theirs
        numbers = np.array([found[v] for v in sorted(graph)], np.uint32)
        assert modularity(edge_table(frame(graph), nodes(graph)).graph(), numbers) == pytest.approx(ours)
        if method == "leiden":
            assert all(nx.is_connected(graph.subgraph(group)) for group in groups)


@pytest.mark.parametrize("method", METHODS)
def test_order_and_direction_of_rows_and_split_weights_change_nothing(method: str) -> None:
    rng = np.random.default_rng(2)
    graph = random_graph(4)
    edges = frame(graph).with_columns(pl.Series("weight", rng.integers(1, 9, graph.number_of_edges()) / 2))
    turned = edges.select(pl.col("dst").alias("src"), pl.col("src").alias("dst"), "weight")
    halves = pl.concat([edges, turned]).with_columns(pl.col("weight") / 2).sample(fraction=1, shuffle=True, seed=1)
    first = ENGINE.communities(edges, method=method, seed=3)
    assert first.equals(ENGINE.communities(halves, method=method, seed=3))
    sizes = first.group_by("community").agg(pl.len(), pl.col("id").min()).sort("community")
    assert sizes["community"].to_list() == list(range(len(sizes)))
    assert sizes.sort(pl.col("len"), -pl.col("id"), descending=True)["community"].to_list() == list(range(len(sizes)))


@pytest.mark.parametrize("seed", range(6))
def test_a_warm_start_from_the_own_result_changes_nothing(seed: int) -> None:
    edges = frame(random_graph(seed)).to_numpy()
    n = int(edges.max()) + 1
    first = local.communities(edges[:, 0], edges[:, 1], None, n)
    assert np.array_equal(first, local.communities(edges[:, 0], edges[:, 1], None, n, initial=first))


def test_a_warm_start_keeps_untouched_groups_and_places_new_nodes() -> None:
    ring = [(g * 6 + i, g * 6 + j) for g in range(5) for i in range(6) for j in range(i)]
    yesterday = np.array(ring, np.uint32)
    before = local.communities(yesterday[:, 0], yesterday[:, 1], None, 30)
    today = np.array([*ring, (30, 0), (30, 1), (30, 2)], np.uint32)
    after = local.communities(today[:, 0], today[:, 1], None, 31, initial=np.append(before, 99))
    assert after[30] == after[0] == 0
    assert np.array_equal(after[:30], before)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_updated_components_equal_those_of_a_full_run(data: st.DataObject) -> None:
    pair = st.tuples(st.integers(0, 14), st.integers(0, 14))
    kept, removed, added = (data.draw(st.lists(pair, max_size=12)) for _ in range(3))
    removed = [edge for edge in removed if edge not in kept]
    old, new, gone, more = (
        np.array(e, np.uint32).reshape(-1, 2) for e in (kept + removed, kept + added, removed, added)
    )
    known = local.components(old[:, 0], old[:, 1], 12 if old.max(initial=0) < 12 else 15)
    found = local.updated_components(
        known, more[:, 0], more[:, 1], 15, (gone[:, 0], gone[:, 1]), [(new[:, 0], new[:, 1])]
    )
    assert np.array_equal(found, local.components(new[:, 0], new[:, 1], 15))


def test_neighborhoods_agree_with_networkx() -> None:
    graph = random_graph(8)
    asked = [(a, b) for a in range(12) for b in range(12, 24)]
    found = ENGINE.neighborhoods(frame(graph), pl.DataFrame(asked, schema=["a", "b"], orient="row"))
    for a, b, common, jaccard, overlap in found.iter_rows():
        first, second = set(graph[a]) - {b}, set(graph[b]) - {a}
        assert common == len(first & second)
        assert jaccard == pytest.approx(len(first & second) / max(1, len(first | second)))
        assert overlap == pytest.approx(len(first & second) / max(1, min(len(first), len(second))))


def test_text_ids_stand_in_the_order_of_their_bytes() -> None:
    edges = pl.DataFrame({"src": ["10", "é", "B"], "dst": ["2", "z", "a"]})
    found = dict(ENGINE.components(edges).iter_rows())
    assert found == {"10": "10", "2": "10", "B": "B", "a": "B", "z": "z", "é": "z"}


def test_loops_count_nowhere_but_their_node_is_there() -> None:
    edges = pl.DataFrame({"src": [1, 1, 7], "dst": [2, 1, 7]})
    assert ENGINE.components(edges).rows() == [(1, 1), (2, 1), (7, 7)]
    assert ENGINE.triangles(edges)["triangles"].to_list() == [0, 0, 0]


def test_a_hub_with_a_million_edges_is_one_component_and_one_community() -> None:
    leaves = np.arange(1, 10**6 + 1, dtype=np.uint32)
    hub = np.zeros(10**6, np.uint32)
    assert not local.components(hub, leaves, 10**6 + 1).any()
    assert not local.communities(hub, leaves, None, 10**6 + 1).any()
    assert not measures.triangles(local.graph(hub, leaves, None, 10**6 + 1)).any()


def test_bad_arrays_are_refused_by_name() -> None:
    one = np.array([1], np.uint32)
    with pytest.raises(BadEdgesError, match="below n = 1"):
        local.components(one, one, 1)
    with pytest.raises(BadEdgesError, match="one row per edge"):
        local.components(one, one[:0], 2)
    for weight in (-1.0, float("nan"), float("inf")):
        with pytest.raises(BadEdgesError, match="1 of 1 weights"):
            local.communities(one, one - 1, [weight], 2)
    with pytest.raises(MethodMissingError, match="choose one of"):
        ENGINE.communities(pl.DataFrame({"src": [1], "dst": [2]}), method="magic")


def test_agreement_is_one_for_the_same_groups_under_other_names() -> None:
    found = pl.DataFrame({"id": ["a", "b", "c", "d"], "community": [0, 0, 1, 1]})
    truth = pl.DataFrame({"id": ["a", "b", "c", "x"], "community": ["p", "p", "q", "q"]})
    figures = agreement(found, truth)
    assert (figures.nmi, figures.ari, figures.pairwise_f1) == pytest.approx((1, 1, 1))
    assert (figures.compared, figures.only_found, figures.only_truth) == (3, 1, 1)


def test_pairwise_f1_counts_pairs() -> None:
    found = pl.DataFrame({"id": [1, 2, 3, 4], "community": [0, 0, 0, 1]})
    truth = pl.DataFrame({"id": [1, 2, 3, 4], "community": [0, 0, 1, 1]})
    # Found pairs 12 13 23, true pairs 12 34: one in common.
    assert agreement(found, truth).pairwise_f1 == pytest.approx(2 * 1 / (3 + 2))


def test_an_ego_network_holds_what_is_near_and_its_groups() -> None:
    rows = [("c", "a"), ("a", "b"), ("b", "c"), ("c", "x"), ("x", "far"), ("a", "c"), ("c", "c")]
    edges = pl.DataFrame(rows, schema=["src", "dst"], orient="row")
    near = ego.ego_network(edges, "c")
    assert set(near) == {"a", "b", "c", "x"}
    assert near["a"]["c"]["weight"] == 2
    assert set(ego.partition(near)) == set(near)
    with pytest.raises(BadEdgesError, match="do not name"):
        ego.ego_network(edges, "nobody")
