"""How alike a number before a cutoff and a number after it are: circles, rarity, habits.

Both sides are read through a table of identities: which number before is which after, and how surely. Numbers active
on both sides are themselves; what else is known comes from earlier rounds of `algorithms.leads.reidentify`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from algorithms.leads.contact_events import ContactEvents
from algorithms.leads.contact_graph import Floats, Ints

HOURS = 24
ALL_PAIRS = 1_000_000  # beyond so many, only those are compared that share something
NAMES = (
    "fingerprint", "fingerprint_known", "rare_neighbors", "rare_known", "listed", "best_neighbor", "strangers",
    "hours", "rate", "calls", "outgoing", "spoken", "degree", "gap",
)  # fmt: skip


@dataclass(frozen=True)
class Side:
    """The events on one side of the cutoff, by the numbers of the whole file.

    Attributes:
        links: float64 (N, N), symmetric: ln(1 + dated events), those far from the cutoff counting less.
        listed: float64 (N, N), symmetric: 1 where one lists the other, undated.
        habits: float64 (N, 6): ln events a day, share of calls, share outgoing, ln seconds a call, ln degree, ln days
            between the cutoff and the nearest event.
        hours: float64 (N, 24), square roots of the shares of events by hour of the day, a little evened out.
    """

    links: Any
    listed: Any
    habits: Floats
    hours: Floats


def side(events: ContactEvents, mask: NDArray[np.bool_], cutoff: float, half_life_s: float, span_s: float) -> Side:
    """Return one side: the events of a mask, `span_s` seconds long; undated ones are listings."""
    n = events.n
    dated = mask & events.dated
    src, dst, at = events.src[dated], events.dst[dated], events.at[dated]
    mass = np.exp2(-np.abs(at - cutoff) / half_life_s)
    links = sparse.csr_matrix(
        (np.tile(mass, 2), (np.concatenate([src, dst]), np.concatenate([dst, src]))), shape=(n, n)
    )
    links.data = np.log1p(links.data)
    undated = mask & ~events.dated
    a, b = events.src[undated], events.dst[undated]
    listed = sparse.csr_matrix((np.ones(2 * len(a)), (np.concatenate([a, b]), np.concatenate([b, a]))), shape=(n, n))
    listed.data[:] = 1.0
    ends, both = np.concatenate([src, dst]), np.tile(at, 2)
    count = np.bincount(ends, minlength=n).astype(float)
    some = np.maximum(count, 1)
    call = events.of_kind("call")[dated].astype(float)
    spoken, calls = events.duration_s[dated] * call, np.bincount(ends, np.tile(call, 2), minlength=n)
    nearest = np.full(n, span_s)
    np.minimum.at(nearest, ends, np.abs(both - cutoff))
    habits = np.stack(
        [
            np.log((count + 0.5) / (span_s / 86_400 + 1)), (calls + 0.5) / (some + 1),
            (np.bincount(src, minlength=n) + 1) / (some + 2),
            np.log1p(np.bincount(ends, np.tile(spoken, 2), minlength=n) / np.maximum(calls, 1)),
            np.log1p(np.diff(links.indptr)), np.log1p(nearest / 86_400),
        ],
        axis=1,
    )  # fmt: skip
    hour = ((both % 86_400) // 3600).astype(np.int64)
    by_hour = np.bincount(ends * HOURS + hour, minlength=n * HOURS).reshape(n, HOURS).astype(float)
    usual = (by_hour.sum(axis=0) + 1) / (by_hour.sum() + HOURS)
    evened = by_hour + 0.5 * (np.roll(by_hour, 1, axis=1) + np.roll(by_hour, -1, axis=1)) + 5 * usual
    return Side(links, listed, habits, np.sqrt(evened / evened.sum(axis=1, keepdims=True)))


@dataclass(frozen=True)
class Pairs:
    """Pairs of numbers before and after, by place: int64 (P,) each, and what is alike of them, float64 (P, F)."""

    before: Ints
    after: Ints
    alike: Floats


def alike(before: Side, after: Side, same: Any, rows: Ints, columns: Ints, most: int) -> Pairs:
    """Return for each number of `rows` before the cutoff those of `columns` after it that share most with it.

    All where there are few enough in all (`ALL_PAIRS`), else up to `most` each.

    Source of the fingerprints: Cortes, Pregibon and Volinsky 2001, "Communities of Interest"; of rarity: Adamic and
    Adar 2003; of reading one side through known identities: Narayanan and Shmatikov 2009, "De-anonymizing Social
    Networks".

    Args:
        same: float64 (N, N), rows before, columns after: how surely two numbers are one.
    """
    one, two = before.links[rows], after.links[columns]
    share_one, share_two = _roots(one), _roots(two)
    told_one = np.asarray(same.sum(axis=1)).ravel().clip(0, 1)  # how much of a neighbor before is known after
    told_two = np.asarray(same.sum(axis=0)).ravel().clip(0, 1)
    rare_one = 1 / np.log(2 + np.diff(before.links.indptr))
    rare_two = 1 / np.log(2 + np.diff(after.links.indptr))
    rare = sparse.diags(np.sqrt(rare_one)) @ same @ sparse.diags(np.sqrt(rare_two))
    there_one, there_two = _ones(one), _ones(two)
    fingerprint = (share_one @ same @ share_two.T).tocsr()
    shared = (there_one @ rare @ there_two.T).tocsr()
    listed = (before.listed[rows] @ rare @ there_two.T).tocsr()
    known_one = np.asarray(share_one.power(2) @ told_one).ravel()
    known_two = np.asarray(share_two.power(2) @ told_two).ravel()
    circle_one, circle_two = there_one @ (rare_one * told_one), there_two @ (rare_two * told_two)
    if len(rows) * len(columns) <= ALL_PAIRS:
        r, c = np.divmod(np.arange(len(rows) * len(columns)), max(len(columns), 1))
        f, s, heard = (m.toarray().ravel() for m in (fingerprint, shared, listed))
    else:
        r, c = _most((fingerprint + 0.25 * shared + 0.05 * listed).tocsr(), most)
        f, s, heard = (_at(m, r, c) for m in (fingerprint, shared, listed))
    u, v = rows[r], columns[c]
    p, q = before.habits[u], after.habits[v]
    comparable = np.sqrt(known_one[r] * known_two[c])
    told = [
        f, f / np.maximum(comparable, 0.05), np.log1p(s), s / np.sqrt(np.maximum(circle_one[r] * circle_two[c], 0.05)),
        np.log1p(heard), np.sqrt(f * s),
        -np.abs((1 - known_one[r]) - (1 - known_two[c])),
        (before.hours[u] * after.hours[v]).sum(axis=1), *(-np.abs(p - q).T[:5]), -(p[:, 5] + q[:, 5]),
    ]  # fmt: skip
    return Pairs(u, v, np.stack(told, axis=1))


def _roots(links: Any) -> Any:
    """Return square roots of each link's share in its row: rows of length 1, so that products lie in [0, 1]."""
    total = np.maximum(np.asarray(links.sum(axis=1)).ravel(), 1e-12)
    return (sparse.diags(1 / total) @ links).sqrt().tocsr()


def _ones(links: Any) -> Any:
    there = links.copy()
    there.data = np.ones_like(there.data)
    return there


def _most(matrix: Any, most: int) -> tuple[Ints, Ints]:
    """Return rows and columns of the largest entries of each row, up to `most`."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, rows))
    place = np.arange(len(order)) - matrix.indptr[rows[order]]
    kept = order[place < most]
    return rows[kept], matrix.indices[kept].astype(np.int64)


def _at(matrix: Any, rows: Ints, columns: Ints) -> Floats:
    return np.asarray(matrix[rows, columns], np.float64).ravel()
