"""The inner loops of sampling, compiled: what was known at a time, which of it is drawn, which nodes are new.

A draw depends only on the sampler's seed, the time asked about, the hop, the relation, and the node's own edges known
then: not on the number of threads, on what else is in the batch, or on how nodes are numbered.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

RECENT = 1024  # edges: of a hub, recency draws from the newest only; older ones have no chance worth the wait
_SCANNED = 4096  # edges: up to here all are looked at for those that have ended; beyond, drawn ones are thrown back
_TRIES = 8


@njit(cache=True, inline="always")
def _mixed(z: Any) -> Any:
    """SplitMix64 (Steele, Lea and Flood 2014): one 64-bit number to another that looks random."""
    z = (z + np.uint64(0x9E3779B97F4A7C15)) & np.uint64(0xFFFFFFFFFFFFFFFF)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True, inline="always")
def _known(since: Any, low: int, high: int, time: int) -> int:
    """Return the end of the edges known at `time` (inclusive), by bisection."""
    while low < high:
        middle = (low + high) // 2
        if since[middle] <= time:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def _floyd(count: int, take: int, state: Any, out: Any) -> None:
    """Write `take` of `count` positions, each set as likely (Floyd; Bentley and Saxe 1987)."""
    for n in range(take):
        last = count - take + n
        state = _mixed(state)
        out[n] = np.int64(state % np.uint64(last + 1))
        for i in range(n):
            if out[i] == out[n]:
                out[n] = last
                break


@njit(cache=True)
def _weighted(
    since: Any, first: int, kept: Any, count: int, take: int, time: int, half_life: int, state: Any, out: Any
) -> None:
    """Write `take` positions drawn without replacement, weight 2^(-age / half_life) (Efraimidis and Spirakis 2006).

    The draw with key ln(-ln u) - ln(weight) smallest first; keys are kept in logarithms, so that old edges lose
    without underflow.
    """
    keys = np.empty(take, np.float64)
    n = 0
    for i in range(count):
        position = kept[i] if len(kept) else i
        state = _mixed(state)
        u = (np.float64(state >> np.uint64(11)) + 0.5) * (1.0 / 9007199254740992.0)
        age = np.float64(time) - np.float64(since[first + position])
        key = np.log(-np.log(u)) + age / half_life * 0.6931471805599453
        if n < take:
            j = n
            n += 1
        elif key < keys[take - 1]:
            j = take - 1
        else:
            continue
        while j > 0 and keys[j - 1] > key:
            keys[j] = keys[j - 1]
            out[j] = out[j - 1]
            j -= 1
        keys[j] = key
        out[j] = position


@njit(cache=True)
def _drawn(
    since: Any, until: Any, low: int, high: int, time: int, take: int, half_life: int, state: Any, out: Any
) -> int:
    """Write up to `take` positions from `low` of edges that stand at `time`, and return how many."""
    first = low
    if half_life > 0 and high - first > RECENT:
        first = high - RECENT
    count = high - first
    kept = np.empty(0, np.int64)
    if len(until):
        if count <= _SCANNED:
            kept = np.empty(count, np.int64)
            n = 0
            for i in range(count):
                if until[first + i] > time:
                    kept[n] = i
                    n += 1
            kept = kept[:n]
            count = n
        else:  # a hub: draw, and throw back what had ended
            n = 0
            for _ in range(take * _TRIES):
                state = _mixed(state)
                position = np.int64(state % np.uint64(count))
                fresh = until[first + position] > time
                for i in range(n):
                    fresh = fresh and out[i] != first + position
                if fresh:
                    out[n] = first + position
                    n += 1
                    if n == take:
                        break
            out[:n].sort()
            return n
    if count <= take:
        for i in range(count):
            out[i] = first + (kept[i] if len(kept) else i)
        return count
    if half_life > 0:
        _weighted(since, first, kept, count, take, time, half_life, state, out)
        for i in range(take):
            out[i] += first
    else:
        _floyd(count, take, state, out)
        for i in range(take):
            out[i] = first + (kept[out[i]] if len(kept) else out[i])
    out[:take].sort()
    return take


@njit(cache=True, parallel=True)
def draw(
    indptr: NDArray[np.int64],
    since: NDArray[np.int64],
    until: NDArray[np.int64],
    rows: NDArray[np.int64],
    times: NDArray[np.int64],
    take: int,
    half_life: int,
    salt: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each row at its time the edges drawn: positions (rows, take), the first `counts` of each are filled.

    Args:
        until: of length 0 where no edge ever ended.
        half_life: microseconds; 0 draws uniformly.
        salt: seed, hop and relation in one number.
    """
    found = np.empty((len(rows), take), np.int64)
    counts = np.zeros(len(rows), np.int64)
    for i in prange(len(rows)):
        low = indptr[rows[i]]
        high = _known(since, low, indptr[rows[i] + 1], times[i])
        if high > low:
            state = _mixed(
                np.uint64(salt) ^ _mixed(np.uint64(times[i]) ^ _mixed(np.uint64(since[low]) ^ np.uint64(high - low)))
            )
            counts[i] = _drawn(since, until, low, high, times[i], take, half_life, state, found[i])
    return found, counts


@njit(cache=True)
def flattened(
    found: NDArray[np.int64], counts: NDArray[np.int64], neighbor: Any, times: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return of all edges drawn, row after row: position, the neighbor's row, the time asked about."""
    total = counts.sum()
    position, row, time = np.empty(total, np.int64), np.empty(total, np.int64), np.empty(total, np.int64)
    n = 0
    for i in range(len(counts)):
        for j in range(counts[i]):
            position[n] = found[i, j]
            row[n] = neighbor[found[i, j]]
            time[n] = times[i]
            n += 1
    return position, row, time


@njit(cache=True)
def seat(slots: NDArray[np.int64], rows: NDArray[np.int64], times: NDArray[np.int64], count: int) -> None:
    """Enter the first `count` nodes into an empty table; of twins the first is found later."""
    mask = np.uint64(len(slots) - 1)
    for i in range(count):
        slot = _mixed(np.uint64(rows[i]) ^ _mixed(np.uint64(times[i]))) & mask
        while slots[slot] >= 0 and (rows[slots[slot]] != rows[i] or times[slots[slot]] != times[i]):
            slot = (slot + np.uint64(1)) & mask
        if slots[slot] < 0:
            slots[slot] = i


@njit(cache=True)
def place(
    slots: NDArray[np.int64],
    rows: NDArray[np.int64],
    times: NDArray[np.int64],
    count: int,
    asked_rows: NDArray[np.int64],
    asked_times: NDArray[np.int64],
    places: NDArray[np.int64],
) -> int:
    """Number nodes of the batch: write each asked node's place, append those not met before, return how many there are.

    Args:
        slots: open-addressing table of places, -1 where free; its length a power of two above twice what may come.
        rows: of the nodes numbered so far (`count`), with room for more; `times` too: a node at two times is two.
    """
    mask = np.uint64(len(slots) - 1)
    for i in range(len(asked_rows)):
        row, time = asked_rows[i], asked_times[i]
        slot = _mixed(np.uint64(row) ^ _mixed(np.uint64(time))) & mask
        while True:
            at = slots[slot]
            if at < 0:
                slots[slot] = count
                rows[count] = row
                times[count] = time
                places[i] = count
                count += 1
                break
            if rows[at] == row and times[at] == time:
                places[i] = at
                break
            slot = (slot + np.uint64(1)) & mask
    return count
