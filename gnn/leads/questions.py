"""What was known at a time, and who came to be in touch with whom after it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from algorithms.leads.contact_events import ContactEvents, Kind
from algorithms.leads.contact_graph import ContactGraph, Ints, contact_graph


@dataclass(frozen=True)
class Known:
    """What was known strictly before a time; node `n` is a phantom that stands for whoever was not seen yet.

    Attributes:
        events: those before `at`, only the nodes seen in them.
        target: the kind of event whose first between two nodes is to be foretold.
        at: epoch seconds.
    """

    events: ContactEvents
    target: Kind
    at: float

    @property
    def n(self) -> int:
        """The number of nodes seen."""
        return self.events.n

    @property
    def half_life_s(self) -> float:
        """A quarter of the time from the first dated event on, in seconds."""
        times = self.events.at[self.events.dated]
        return max((self.at - times.min()) / 4, 1.0) if len(times) else 1.0

    @cached_property
    def graph(self) -> ContactGraph:
        """All kinds together, with the phantom."""
        return self.part(np.ones(len(self.events), np.bool_))

    @cached_property
    def met(self) -> ContactGraph:
        """The target kind alone, with the phantom: its links are no candidates any more."""
        return self.part(self.events.of_kind(self.target))

    def part(self, mask: NDArray[np.bool_], half_life_s: float | None = None) -> ContactGraph:
        """Return the graph of some events, with the phantom."""
        of = self.events
        return contact_graph(
            of.src[mask], of.dst[mask], self.n + 1, at=of.at[mask], as_of=self.at,
            half_life_s=half_life_s or self.half_life_s,
        )  # fmt: skip

    def candidates(self, source: int) -> Ints:
        """Return the nodes with which a source had no event of the target kind, itself left out, int64 ascending."""
        free = np.ones(self.n + 1, np.bool_)
        free[[source, self.n]] = False
        free[self.met.indices[self.met.indptr[source] : self.met.indptr[source + 1]]] = False
        return np.flatnonzero(free)


@dataclass(frozen=True)
class Question:
    """The sources that gained at least one node in a window, and whom.

    Attributes:
        known: what was known when it began.
        sources: int64 (S,), ascending places among the nodes known; the phantom's for a source not seen before.
        gained: for each source, the places of the nodes it gained, ascending, those not seen before left out.
        strangers: int64 (S,), how many of the gained were not seen before.
        unseen: how many nodes of the file were not seen before.
    """

    known: Known
    sources: Ints
    gained: list[Ints]
    strangers: Ints
    unseen: int

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Which sources had been seen before, bool (S,)."""
        return self.sources < self.known.n


def question(events: ContactEvents, target: Kind, since: float, until: float = np.inf) -> Question:
    """Return what is asked of a window: undirected pairs whose first target event lies in [since, until), seconds."""
    known = Known(events.before(since), target, since)
    at = np.full(events.n, -1, np.int64)
    at[np.searchsorted(events.names, known.events.names)] = np.arange(known.n)
    low, high = np.minimum(events.src, events.dst), np.maximum(events.src, events.dst)
    key, of_target = low * events.n + high, events.of_kind(target)
    inside = of_target & (events.at >= since) & (events.at < until)
    new = np.setdiff1d(key[inside], key[of_target & (events.at < since)])
    ends = np.concatenate([new // events.n, new % events.n])
    others = np.concatenate([new % events.n, new // events.n])
    sources, gained, strangers = [], [], []
    order = np.lexsort((others, ends))
    for group in np.split(order, np.flatnonzero(np.diff(ends[order])) + 1) if len(order) else []:
        source, met = int(at[ends[group[0]]]), at[others[group]]
        sources.append(source if source >= 0 else known.n)
        gained.append(np.sort(met[met >= 0]))
        strangers.append(int((met < 0).sum()))
    seen_in_window = np.unique(np.concatenate([events.src, events.dst])[np.tile(events.at < until, 2)])
    by_place = np.argsort(sources, kind="stable")  # sources not seen before stand together at the end
    return Question(
        known, np.array(sources, np.int64)[by_place], [gained[i] for i in by_place],
        np.array(strangers, np.int64)[by_place], len(seen_in_window) - known.n,
    )  # fmt: skip
