"""The undirected graph of who is in touch with whom, its links weighted by how often and how lately."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from algorithms.leads.contact_events import ContactEvents, ContactEventsError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
SIGNATURE = 20  # links in a fingerprint; Cortes, Pregibon and Volinsky 2001 keep 9 of a call's two directions each


@dataclass(frozen=True)
class ContactGraph:
    """Both directions of every link: the neighbors of v are `indices[indptr[v]:indptr[v + 1]]`, ascending.

    Attributes:
        indptr: int64 (N + 1,).
        indices: int64 (E,).
        weight: float64 (E,), above 0: ln(1 + events, each halved by age).
        last_at: float64 (E,), epoch seconds of the latest event; 0 where none is dated.
        as_of: epoch seconds at which the weights were taken.
    """

    indptr: Ints
    indices: Ints
    weight: Floats
    last_at: Floats
    as_of: float

    @property
    def n(self) -> int:
        """The number of nodes."""
        return len(self.indptr) - 1

    @cached_property
    def degree(self) -> Ints:
        """How many neighbors each node has, int64 (N,)."""
        return np.diff(self.indptr)

    @cached_property
    def rows(self) -> Ints:
        """The node each link starts at, int64 (E,)."""
        return np.repeat(np.arange(self.n), self.degree)

    @cached_property
    def strength(self) -> Floats:
        """The sum of the weights at each node, float64 (N,)."""
        return np.bincount(self.rows, self.weight, minlength=self.n).astype(np.float64)

    @cached_property
    def latest(self) -> Floats:
        """When each node's latest event was, epoch seconds, float64 (N,); 0 where none is dated."""
        found = np.zeros(self.n)
        np.maximum.at(found, self.rows, self.last_at)
        return found

    @cached_property
    def reverse(self) -> Ints:
        """The place of each link's other direction, int64 (E,)."""
        return np.lexsort((self.rows, self.indices))

    @cached_property
    def fingerprint(self) -> Floats:
        """Each link's share in the signature of the node it starts at, float64 (E,); 0 beyond the heaviest few.

        Cortes, Pregibon and Volinsky 2001, "Communities of Interest": a number is known by whom it calls. Shares of a
        node sum to 1; of equally heavy links the lower neighbor counts first.
        """
        order = np.lexsort((self.indices, -self.weight, self.rows))
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        kept = np.where(place - self.indptr[self.rows] < SIGNATURE, self.weight, 0.0)
        total = np.bincount(self.rows, kept, minlength=self.n)
        return np.asarray(kept / total[self.rows])


def contact_graph(
    src: Ints,
    dst: Ints,
    n: int,
    *,
    at: Floats | None = None,
    count: Floats | None = None,
    as_of: float = 0.0,
    half_life_s: float | None = None,
    undated: float = 0.5,
) -> ContactGraph:
    """Return the graph of events, or of rows that stand for several; the order and direction of rows do not matter.

    Args:
        src: int64 (R,), from 0 to `n` - 1; so is `dst`.
        at: float64 (R,), epoch seconds, 0 = undated; None: all undated.
        count: float64 (R,), events behind a row; None: one each.
        as_of: epoch seconds; an event so old as the half-life counts half, a later one is refused.
        half_life_s: seconds; None takes a quarter of the time from the first dated event to `as_of`.
        undated: what an event without a time counts.

    Raises:
        ContactEventsError: lengths differ, an end is no node, a number is not finite or negative, or a time is after
            `as_of`.
    """
    a, b = np.asarray(src, np.int64), np.asarray(dst, np.int64)
    when = np.zeros(len(a)) if at is None else np.asarray(at, np.float64)
    counted = np.ones(len(a)) if count is None else np.asarray(count, np.float64)
    if not len(a) == len(b) == len(when) == len(counted):
        raise ContactEventsError(f"One row an event was needed; found {[len(x) for x in (a, b, when, counted)]}.")
    if len(a) and not 0 <= min(a.min(), b.min()) <= max(a.max(), b.max()) < n:
        raise ContactEventsError(f"Every end must be from 0 to {n - 1:,}; found {min(a.min(), b.min())} or above.")
    if not (np.isfinite(when).all() and np.isfinite(counted).all()) or (counted < 0).any() or (when < 0).any():
        raise ContactEventsError("Times and counts must be finite and not below 0.")
    if len(when) and when.max() > as_of and when.max() > 0:
        raise ContactEventsError(f"An event at {when.max():.0f} lies after as_of ({as_of:.0f}); leave it out.")
    if half_life_s is not None and not half_life_s > 0:
        raise ContactEventsError(f"The half-life must be above 0 seconds; {half_life_s} was given.")
    dated = when > 0
    first = when[dated].min() if dated.any() else as_of
    half = half_life_s if half_life_s is not None else max((as_of - first) / 4, 1.0)
    mass = counted * np.where(dated, np.exp2(-np.maximum(as_of - when, 0) / half), undated)
    kept = (a != b) & (mass > 0)
    a, b, mass, when = a[kept], b[kept], mass[kept], when[kept]
    pairs, place = np.unique(np.minimum(a, b) * n + np.maximum(a, b), return_inverse=True)
    total = np.bincount(place, mass, minlength=len(pairs))
    latest = np.zeros(len(pairs))
    np.maximum.at(latest, place, when)
    low, high = pairs // max(n, 1), pairs % max(n, 1)
    rows, indices = np.concatenate([low, high]), np.concatenate([high, low])
    order = np.lexsort((indices, rows))
    indptr = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=n), out=indptr[1:])
    twice = np.log1p(np.concatenate([total, total]))[order]
    return ContactGraph(indptr, indices[order], twice, np.concatenate([latest, latest])[order], as_of)


def graph_of(events: ContactEvents, as_of: float, *, half_life_s: float | None = None) -> ContactGraph:
    """Return the graph of all kinds of events together, as of a time not before the latest of them."""
    return contact_graph(events.src, events.dst, events.n, at=events.at, as_of=as_of, half_life_s=half_life_s)
