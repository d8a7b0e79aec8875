"""Contact events are read or refused by name; the rankers agree with networkx and with each other."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.leads.contact_events import ContactEventsError, read_events
from algorithms.leads.contact_graph import SIGNATURE, ContactGraph, contact_graph
from algorithms.leads.rankers import RANKERS, all_scores, pair_scores, personalized_pagerank

HEAD = "src,dst,kind,at,duration_s\n"
DAY = 86_400.0


def _file(tmp_path, text):
    path = tmp_path / "events.csv"
    path.write_text(text)
    return path


def _world(seed: int, n: int = 40, rows: int = 150) -> ContactGraph:
    rng = np.random.default_rng(seed)
    ends = rng.integers(0, n, (2, rows))
    return contact_graph(ends[0], ends[1], n, at=rng.integers(0, 10, rows) * DAY, as_of=10 * DAY)


def _networkx(graph: ContactGraph) -> nx.Graph:
    out = nx.Graph()
    out.add_nodes_from(range(graph.n))
    out.add_weighted_edges_from(zip(graph.rows.tolist(), graph.indices.tolist(), graph.weight.tolist(), strict=True))
    return out


def test_events_are_read_with_nodes_in_order_of_their_names_and_loops_counted(tmp_path):
    events = read_events(_file(tmp_path, HEAD + "b,a,call,100,7\na,a,message,5,\n c ,a,Contact,0,\n"))
    assert events.names.tolist() == ["a", "b", "c"]
    assert (events.src.tolist(), events.dst.tolist(), events.loops) == ([1, 2], [0, 0], 1)
    assert events.at.tolist() == [100, 0]
    assert events.duration_s.tolist() == [7, 0]
    assert events.dated.tolist() == [True, False]
    assert events.before(50).names.tolist() == ["a", "c"]  # b leaves no trace
    assert events.since(50).names.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        (HEAD, "has a header and no rows"),
        ("src,dst,kind,at\na,b,call,1\n", "lacks the columns ['duration_s']"),
        (HEAD + "a,b,call,1,0\na,b,fax,2,0\n", "1 of 2 rows are of a kind that is none of call, message, contact"),
        (HEAD + "a,b,call,-5,0\n", "have a time below 0"),
        (HEAD + "a,b,call,nan,0\n", "have a time that is no number"),
        (HEAD + "a,b,call,,0\n", "have a time that is no number"),
        (HEAD + "a,b,call,1700000000000,0\n", "epoch seconds are needed"),
        (HEAD + "a,b,call,1,-2\n", "have a duration that is no number of seconds"),
        (HEAD + "a,,call,1,0\n", "have no dst"),
        (HEAD + "a,a,call,1,0\n", "holds only loops"),
        (HEAD + "a,b,call,1,0\na,b,call,1,0,9\n", "cannot be read as CSV"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_a_sentence(tmp_path, text, says):
    with pytest.raises(ContactEventsError) as told:
        read_events(_file(tmp_path, text))
    assert says in str(told.value)


@pytest.mark.parametrize("cutoff", [0, 100, 301, float("nan")])
def test_a_cutoff_outside_the_dated_events_is_refused(tmp_path, cutoff):
    events = read_events(_file(tmp_path, HEAD + "a,b,call,100,0\na,c,call,300,0\nb,c,contact,0,0\n"))
    with pytest.raises(ContactEventsError, match="after the first dated event"):
        events.check_cutoff(cutoff)
    events.check_cutoff(300)


def test_a_link_counts_its_events_halved_by_age_and_what_is_undated_counts_half():
    graph = contact_graph(
        np.array([0, 1, 1]), np.array([1, 0, 2]), 3, at=np.array([10 * DAY, 8 * DAY, 0]), as_of=10 * DAY,
        half_life_s=2 * DAY,
    )  # fmt: skip
    assert graph.indices.tolist() == [1, 0, 2, 1]
    assert graph.weight.tolist() == pytest.approx(np.log1p([1.5, 1.5, 0.5, 0.5]).tolist())
    assert graph.last_at.tolist() == [10 * DAY, 10 * DAY, 0, 0]


def test_rows_that_cannot_be_a_graph_are_refused():
    one = np.array([0])
    for wrong in ({"at": np.array([5.0])}, {"at": np.array([np.nan])}, {"count": np.array([-1.0])}):
        with pytest.raises(ContactEventsError):
            contact_graph(one, one + 1, 2, as_of=1.0, **wrong)
    with pytest.raises(ContactEventsError, match="from 0 to 1"):
        contact_graph(one, one + 2, 2)
    with pytest.raises(ContactEventsError, match="Nodes are 0 to"):
        pair_scores(contact_graph(one, one + 1, 2), [0], [7])


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000))
def test_plain_rankers_agree_with_networkx(seed):
    graph = _world(seed)
    theirs = _networkx(graph)
    pairs = list(nx.non_edges(theirs))
    u, v = np.array(pairs).T
    found = pair_scores(graph, u, v)
    for name, of in (
        ("adamic_adar", nx.adamic_adar_index),
        ("resource_allocation", nx.resource_allocation_index),
        ("preferential_attachment", nx.preferential_attachment),
    ):
        assert found[name] == pytest.approx([score for *_, score in of(theirs, pairs)])
    assert found["common_neighbors"].tolist() == [len(list(nx.common_neighbors(theirs, a, b))) for a, b in pairs]
    source = int(u[0])
    if graph.degree[source]:
        walked = nx.pagerank(theirs, alpha=0.85, personalization={source: 1}, weight="weight", tol=1e-12, max_iter=1000)
        ours = personalized_pagerank(graph, source, left=1e-12)
        assert ours == pytest.approx([walked[i] for i in range(graph.n)], abs=1e-8)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_pairs_and_whole_rankings_say_the_same_and_no_direction_matters(seed):
    graph = _world(seed)
    source = seed % graph.n
    others = np.delete(np.arange(graph.n), source)
    pairs, whole = pair_scores(graph, np.full(len(others), source), others), all_scores(graph, source)
    back = pair_scores(graph, others, np.full(len(others), source))
    for name in RANKERS:
        assert pairs[name] == pytest.approx(whole[name][others])
        if name not in ("personalized_pagerank", "popularity", "recency"):
            assert pairs[name] == pytest.approx(back[name])


def test_a_fingerprint_is_the_shares_of_the_heaviest_links_and_twins_overlap_fully():
    spokes = np.arange(2, 32)
    count = np.tile(np.arange(1.0, 31), 2)
    graph = contact_graph(np.repeat([0, 1], 30), np.tile(spokes, 2), 32, count=count)
    own = graph.fingerprint[graph.indptr[0] : graph.indptr[1]]
    assert (own > 0).sum() == SIGNATURE
    assert own.sum() == pytest.approx(1)
    assert (own[:10] == 0).all()  # the ten lightest
    twins = pair_scores(graph, [0], [1])
    assert twins["fingerprint_dice"] == pytest.approx(1)
    assert twins["fingerprint_hellinger"] == pytest.approx(1)


def test_a_node_without_links_has_nothing_to_say():
    graph = contact_graph(np.array([0]), np.array([1]), 3)
    assert personalized_pagerank(graph, 2).tolist() == [0, 0, 1]
    told = pair_scores(graph, [2, 0], [0, 2])
    assert all(told[name][0] == 0 for name in RANKERS if name != "popularity")
    assert all(len(values) == 0 for values in pair_scores(graph, [], []).values())
