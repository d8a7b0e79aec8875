"""The race of rankers on a file of contact events: what each foretold of first meetings after a cutoff."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from algorithms.leads.contact_events import ContactEvents, ContactEventsError, Kind, read_events
from algorithms.leads.contact_graph import Floats
from algorithms.leads.rankers import RANKERS, all_scores
from gnn.leads.link_model import BLEND, LinkModel, learn
from gnn.leads.measures import figures, of_source
from gnn.leads.questions import Question, question

TARGETS: tuple[Kind, ...] = ("call", "message")
_BELOW, _STRANGER = -1e9, -1e12


def default_target(events: ContactEvents, cutoff: float) -> Kind:
    """Return the kind, call or message, with more pairs in touch before the cutoff: the one with more to learn from.

    Raises:
        ContactEventsError: there is neither a call nor a message before the cutoff.
    """
    pairs = {}
    for kind in TARGETS:
        mask = events.of_kind(kind) & (events.at < cutoff)
        low, high = np.minimum(events.src, events.dst)[mask], np.maximum(events.src, events.dst)[mask]
        pairs[kind] = len(np.unique(low * events.n + high))
    best = max(TARGETS, key=lambda kind: pairs[kind])
    if not pairs[best]:
        raise ContactEventsError("There is no call and no message before the cutoff; nothing could be learned.")
    return best


def race(events: ContactEvents, cutoff: float, target: Kind | None = None, seed: int = 0) -> dict[str, Any]:
    """Return what every ranker reached, learned from the events before the cutoff alone.

    For each source that has a first event of the target kind with some node at or after the cutoff, a ranker orders
    every node of the file with which the source had none before; events of other kinds before the cutoff are
    evidence. Hits@k: the share of sources with a gained node among the first k; MRR: the mean of 1 / the place of the
    first gained node. Nodes of equal score stand in random order, of which both figures are the expected value. Only
    a source's first gained node counts, so the figures filtered of its other gained nodes are the same ones. Nodes
    not seen before the cutoff stand last with every ranker. An event counts for both ends; sources not seen before
    the cutoff are ranked for too, and the figures of the others alone stand under `seen_sources`.

    Args:
        cutoff: epoch seconds; what is at or after it is the future.
        target: None takes `default_target`.

    Returns:
        `rankers` by name {hits_at_1, hits_at_5, hits_at_20, mrr, seconds}; `selected`, the product's model; `target`,
        `cutoff`, `sources`, `learned_from`, `weights` and `seen_sources`.

    Raises:
        ContactEventsError: the cutoff, or what comes before or after it, leaves nothing to rank.
    """
    events.check_cutoff(cutoff)
    target = target or default_target(events, cutoff)
    asked = question(events, target, cutoff)
    if not asked.known.n:
        raise ContactEventsError("Nothing is known before the cutoff; choose a later one.")
    if not len(asked.sources):
        raise ContactEventsError(
            f"Nobody has a first {target} with anyone at or after the cutoff; choose an earlier cutoff, or another "
            "--target."
        )
    rows, seconds = _heuristics(asked)
    begun = time.perf_counter()
    model = learn(events, target, cutoff, seed=seed)
    learned_s = time.perf_counter() - begun
    for name, found in _model(asked, model).items():
        rows[name], seconds[name] = found, learned_s
    told: dict[str, Any] = {
        "rankers": {n: figures(r).told() | {"seconds": round(seconds[n], 2)} for n, r in rows.items()},
        "selected": BLEND, "target": target, "cutoff": cutoff, "sources": len(asked.sources),
        "learned_from": model.learned_from, "weights": {n: round(w, 3) for n, w in model.weights.items()},
    }  # fmt: skip
    seen = asked.seen
    told["seen_sources"] = {
        "sources": int(seen.sum()),
        "rankers": {n: figures(r[seen]).told() for n, r in rows.items()} if seen.any() else {},
    }  # fmt: skip
    return told


def _row(asked: Question, i: int, scores: Floats) -> Floats:
    """Return the figures of source i under scores of all nodes known, (N + 1,)."""
    candidates = asked.known.candidates(int(asked.sources[i]))
    strangers = np.arange(asked.unseen) < asked.strangers[i]
    gained = np.concatenate([np.isin(candidates, asked.gained[i]), strangers])
    return of_source(np.concatenate([scores[candidates], np.full(asked.unseen, _STRANGER)]), gained)


def _heuristics(asked: Question) -> tuple[dict[str, NDArray[np.float64]], dict[str, float]]:
    begun = time.perf_counter()
    rows: dict[str, list[Floats]] = {name: [] for name in RANKERS}
    last, scores = -1, {}
    for i, source in enumerate(asked.sources.tolist()):
        if source != last:
            last, scores = source, all_scores(asked.known.graph, source)
        for name in RANKERS:
            rows[name].append(_row(asked, i, scores[name]))
    each = (time.perf_counter() - begun) / len(RANKERS)
    return {name: np.array(found) for name, found in rows.items()}, dict.fromkeys(RANKERS, each)


def _model(asked: Question, model: LinkModel) -> dict[str, NDArray[np.float64]]:
    sources = np.unique(asked.sources)
    pairs, scores = model.ranked(asked.known, sources)
    rows: dict[str, list[Floats]] = {name: [] for name in scores}
    last, whole = -1, {}
    for i, source in enumerate(asked.sources.tolist()):
        if source != last:
            last, at = source, int(np.searchsorted(sources, source))
            part = slice(pairs.starts[at], pairs.starts[at + 1])
            rest = _BELOW + all_scores(asked.known.graph, source)["personalized_pagerank"]
            whole = {name: rest.copy() for name in scores}
            for name in scores:
                whole[name][pairs.candidate[part]] = scores[name][part]
        for name in scores:
            rows[name].append(_row(asked, i, whole[name]))
    return {name: np.array(found) for name, found in rows.items()}


def run(file: Path, cutoff: float, target: Kind | None, console: Console, seed: int = 0) -> dict[str, Any]:
    """Race the rankers on a file, print a line for each, and return what they reached.

    Raises:
        ContactEventsError: the file or the cutoff cannot be used.
    """
    events = read_events(file)
    if events.loops:
        console.print(f"{events.loops:,} rows between a node and itself are left out.")
    with console.status("Ranking"):
        told = race(events, cutoff, target, seed)
    seen = told["seen_sources"]["sources"]
    table = Table(title=f"{file.stem}: first {told['target']} after {cutoff:.0f}, {told['sources']:,} sources")
    for column in ("ranker", "Hits@1", "Hits@5", "Hits@20", "MRR", "seconds"):
        table.add_column(column, justify="left" if column == "ranker" else "right")
    for name, row in told["rankers"].items():
        cells = [f"{row[what]:.4f}" for what in ("hits_at_1", "hits_at_5", "hits_at_20", "mrr")]
        table.add_row(f"[bold]{name}[/]" if name == BLEND else name, *cells, f"{row['seconds']:.1f}")
    console.print(table)
    console.print(
        f"{seen:,} of {told['sources']:,} sources were seen before the cutoff. Only the first gained node of a source "
        "counts: filtered of its others, the figures are the same."
    )
    return told
