"""What is known of a pair of nodes before they are first in touch: structure, evidence of other kinds, and habits.

In the manner of BUDDY (Chamberlain et al. 2023) counts of shared structure stand beside what a network learns; here
they are told by kind of contact, beside every ranker of `algorithms.leads.rankers`. All ages are in half-lives of the
history, so that windows of different lengths can be learned from together. Nothing at or after `known.at` is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from algorithms.leads.contact_events import KINDS
from algorithms.leads.contact_graph import ContactGraph, Floats, Ints
from algorithms.leads.rankers import all_scores
from gnn.leads.questions import Known

Columns = dict[str, NDArray[np.float32]]
_OF_TARGET = (
    "common_neighbors", "adamic_adar", "resource_allocation_recent", "fingerprint_hellinger", "personalized_pagerank",
)  # fmt: skip
_RANKED = ("personalized_pagerank", "adamic_adar_recent", "resource_allocation_recent", "direct_evidence", "popularity")
_NO_NODES = np.empty(0, np.int64)
_CHUNK = 50_000
_NEVER = 12.0  # half-lives; what never happened is as old as this


@dataclass(frozen=True)
class Pairs:
    """Pairs of sources and candidates, those of one source together.

    Attributes:
        known: what was known when they were asked about.
        source: int64 (P,); so is `candidate`.
        gained: bool (P,), whether they came to be in touch in the window; all False where nobody knows yet.
        starts: int64 (S + 1,), where each source's pairs begin; the last is P.
        columns: features by name, each float32 (P,).
    """

    known: Known
    source: Ints
    candidate: Ints
    gained: NDArray[np.bool_]
    starts: Ints
    columns: Columns

    def matrix(self, names: list[str]) -> NDArray[np.float32]:
        """Return the features (P, columns) in the order of `names`; 0 where there is none of a name."""
        none = np.zeros(len(self.source), np.float32)
        return np.stack([self.columns.get(name, none) for name in names], axis=1) if names else none[:, None][:, :0]


def pairs_of(
    known: Known,
    sources: Ints,
    *,
    most: int,
    gained: list[Ints] | None = None,
    others: int | None = None,
    rng: np.random.Generator | None = None,
    only: list[Ints] | None = None,
) -> Pairs:
    """Return each source with the candidates that some ranker has high, and what is known of each pair.

    With `gained`, to learn from: a source of whom no gained node is among its candidates is left out. Gained nodes
    are never added to the candidates: a model would learn that whoever no ranker knows was gained.

    Args:
        most: candidates of a source.
        gained: for each source, whom it gained, ascending.
        others: of the candidates not gained so many are drawn; all where None.
        only: for each source, the nodes to ask about in place of those that some ranker has high; of sources that
            stand once. Places are among all candidates nevertheless, and whom a source has met is left out.
    """
    kept: list[Ints] = []
    owners: list[int] = []
    labels: list[NDArray[np.bool_]] = []
    said: list[dict[str, Floats]] = []
    seen: dict[int, tuple[Ints, dict[str, Floats]]] = {}
    for i, source in enumerate(sources.tolist()):
        if source not in seen:
            asked = None if only is None else only[i]
            seen = {source: _of_source(known, source, most, asked)}  # the phantom's stand together: once is enough
        chosen, columns = seen[source]
        if not len(chosen):
            continue
        if gained is not None:
            label = np.isin(chosen, gained[i])
            if not label.any():
                continue
            if others is not None and rng is not None and len(chosen) > others:
                taken = label.copy()
                taken[rng.choice(len(chosen), others, replace=False)] = True
                chosen, label = chosen[taken], label[taken]
                columns = {name: values[taken] for name, values in columns.items()}
        else:
            label = np.zeros(len(chosen), np.bool_)
        kept.append(chosen)
        owners.append(source)
        labels.append(label)
        said.append(columns)
    if not kept:
        return Pairs(known, _NO_NODES, _NO_NODES, np.empty(0, np.bool_), np.zeros(1, np.int64), {})
    source = np.repeat(np.array(owners, np.int64), [len(c) for c in kept])
    candidate = np.concatenate(kept)
    told = {name: np.concatenate([columns[name] for columns in said]) for name in said[0]}
    told |= _normalized(known.graph, told, source, candidate)
    told |= _direct(known, source, candidate)
    told |= _paths(known, source, candidate)
    for name, values in node_columns(known).items():
        told[f"source_{name}"] = values[source]
        told[f"candidate_{name}"] = values[candidate]
    starts = np.concatenate([[0], np.cumsum([len(c) for c in kept])]).astype(np.int64)
    columns32 = {name: values.astype(np.float32) for name, values in told.items()}
    return Pairs(known, source, candidate, np.concatenate(labels), starts, columns32)


def _of_source(known: Known, source: int, most: int, only: Ints | None) -> tuple[Ints, dict[str, Floats]]:
    """Return the candidates whose best place by any of `_RANKED` is high, ascending, and what rankers say of them."""
    candidates = known.candidates(source)
    whole, of_target = all_scores(known.graph, source), all_scores(known.met, source)
    told = {name: values[candidates] for name, values in whole.items()}
    told["idle"] = _age(known, told.pop("recency"))
    told |= {f"target_{name}": of_target[name][candidates] for name in _OF_TARGET}
    told |= {f"place_{name}": _places(told[name]) for name in _RANKED}
    if only is not None:
        kept = np.isin(candidates, only)
        return candidates[kept], {name: values[kept] for name, values in told.items()}
    if len(candidates) > most:
        best = np.min([_places(-told["idle"]), *(told[f"place_{name}"] for name in _RANKED)], axis=0)
        chosen = np.sort(np.argsort(best, kind="stable")[:most])
        candidates, told = candidates[chosen], {name: values[chosen] for name, values in told.items()}
    return candidates, told


def node_columns(known: Known) -> dict[str, Floats]:
    """Return what is known of each node, float64 (N + 1,) by name; the phantom has done nothing."""
    of, n = known.events, known.n + 1
    told: dict[str, Floats] = {}
    ends, times = np.concatenate([of.src, of.dst]), np.tile(of.at, 2)
    first, last = np.full(n, known.at), np.zeros(n)
    np.minimum.at(first, ends, np.where(times > 0, times, known.at))
    np.maximum.at(last, ends, times)
    told["age"] = (known.at - first) / known.half_life_s
    for kind in KINDS:
        mask = of.of_kind(kind)
        if mask.any():
            graph = known.part(mask)
            told[f"{kind}_degree"] = graph.degree.astype(np.float64)
            told[f"{kind}_strength"] = graph.strength
    mask = of.of_kind(known.target)
    for name, share in (("target_lately", 4.0), ("target_just_now", 16.0)):
        weight = np.where(of.dated, np.exp2(-(known.at - of.at) * share / known.half_life_s), 0)[mask]
        told[f"{name}_out"] = np.bincount(of.src[mask], weight, minlength=n).astype(np.float64)
        told[f"{name}_in"] = np.bincount(of.dst[mask], weight, minlength=n).astype(np.float64)
    told["target_last"] = np.full(n, _NEVER)
    dated = mask & of.dated
    final = np.zeros(n)
    np.maximum.at(final, np.concatenate([of.src[dated], of.dst[dated]]), np.tile(of.at[dated], 2))
    told["target_last"] = _age(known, final)
    # New acquaintances of the target kind, by the time of the first event of each pair.
    low, high = np.minimum(of.src, of.dst)[mask], np.maximum(of.src, of.dst)[mask]
    order = np.argsort(of.at[mask], kind="stable")
    _, firsts = np.unique((low * n + high)[order], return_index=True)
    met = order[firsts]
    for name, share in (("gained", 1.0), ("gained_lately", 4.0)):
        at = of.at[mask][met]
        weight = np.where(at > 0, np.exp2(-(known.at - at) * share / known.half_life_s), 0)
        ends_met = np.concatenate([low[met], high[met]])
        told[name] = np.bincount(ends_met, np.tile(weight, 2), minlength=n).astype(np.float64)
    return told


def _age(known: Known, at: Floats) -> Floats:
    return np.where(at > 0, np.minimum((known.at - at) / known.half_life_s, _NEVER), _NEVER)


def _places(values: Floats) -> Floats:
    """Return ln(1 + how many stand at least as high, itself left out), so that what all share is no distinction."""
    return np.log1p(len(values) - 1 - np.searchsorted(np.sort(values), values, side="left"))


def _direct(known: Known, sources: Ints, candidates: Ints) -> dict[str, Floats]:
    """What the pair did in other kinds: how much lately, how often, how long ago, and who began."""
    of, n = known.events, known.n + 1
    told: dict[str, Floats] = {}
    for kind in KINDS:
        mask = of.of_kind(kind)
        if kind == known.target or not mask.any():
            continue
        src, dst, at = of.src[mask], of.dst[mask], of.at[mask]
        recent = np.where(at > 0, np.exp2(-(known.at - at) * 2 / known.half_life_s), 0)
        if (at > 0).any():
            out = sparse.csr_matrix((recent, (src, dst)), shape=(n, n))
            told[f"{kind}_out"] = np.asarray(out[sources, candidates]).ravel()
            told[f"{kind}_in"] = np.asarray(out[candidates, sources]).ravel()
            graph = known.part(mask)
            told[f"{kind}_age"] = _age(known, _link_values(graph, graph.last_at, sources, candidates))
        count = sparse.csr_matrix((np.ones(len(src)), (src, dst)), shape=(n, n))
        both = np.asarray(count[sources, candidates]).ravel() + np.asarray(count[candidates, sources]).ravel()
        told[f"{kind}_count"] = both
    return told


def _normalized(graph: ContactGraph, told: dict[str, Floats], sources: Ints, candidates: Ints) -> dict[str, Floats]:
    """The same in the eyes of the candidate: what a link or a shared neighbor is to one who has many of them."""
    degree = np.maximum(graph.degree, 1).astype(np.float64)
    either = degree[sources] + degree[candidates] - told["common_neighbors"]
    standing = np.empty(len(graph.indices))  # place of each link among those of the node it starts at
    order = np.lexsort((-graph.weight, graph.rows))
    standing[order] = np.arange(len(order)) - graph.indptr[graph.rows[order]]
    never = np.log1p(degree.max())
    direct = told["direct_evidence"] > 0
    return {
        "jaccard": told["common_neighbors"] / either,
        "cosine": told["common_neighbors"] / np.sqrt(degree[sources] * degree[candidates]),
        "share_of_source": _link_values(graph, graph.weight / graph.strength[graph.rows], sources, candidates),
        "share_of_candidate": _link_values(graph, graph.weight / graph.strength[graph.rows], candidates, sources),
        "standing_with_candidate": np.where(
            direct, np.log1p(_link_values(graph, standing, candidates, sources)), never
        ),
        "pagerank_both": told["personalized_pagerank"] ** 2 * degree[sources] / degree[candidates],
    }


def _link_values(graph: ContactGraph, values: Floats, sources: Ints, candidates: Ints) -> Floats:
    keys = graph.rows * graph.n + graph.indices
    if not len(keys):
        return np.zeros(len(sources))
    asked = sources * graph.n + candidates
    place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[place] == asked, values[place], 0.0)


def _paths(known: Known, sources: Ints, candidates: Ints) -> dict[str, Floats]:
    """Shared neighbors by the kinds of the two links, the rarer ones counting more (Adamic and Adar 2003)."""
    of = known.events
    kinds = [k for k in KINDS if of.of_kind(k).any()]
    if len(kinds) < 2:
        return {}
    rare = 1 / np.log(2 + known.graph.degree)
    graphs = {}
    for kind in kinds:
        graph = known.part(of.of_kind(kind))
        shape = (graph.n, graph.n)
        plain = sparse.csr_matrix((np.ones(len(graph.indices)), graph.indices, graph.indptr), shape=shape)
        graphs[kind] = plain, plain.multiply(rare[None, :]).tocsr()
    told: dict[str, Floats] = {f"path_{a}_{b}": np.empty(len(sources)) for a in kinds for b in kinds}
    for begin in range(0, len(sources), _CHUNK):
        rows = slice(begin, begin + _CHUNK)
        left = {k: graphs[k][0][sources[rows]] for k in kinds}
        right = {k: graphs[k][1][candidates[rows]] for k in kinds}
        for a in kinds:
            for b in kinds:
                told[f"path_{a}_{b}"][rows] = np.asarray(left[a].multiply(right[b]).sum(axis=1)).ravel()
    return told
