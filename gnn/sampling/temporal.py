"""Neighborhoods of seeds as they were known at each seed's time.

Hamilton, Ying and Leskovec 2017 (GraphSAGE), with times: an edge later than the seed's time is never drawn, nor one
that had ended. A node met twice at one time is sampled once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnn.data.store import NEVER, Store
from gnn.sampling import kernels

NO_TIME = NEVER - 1  # asks for everything known, ever
_NONE = np.empty(0, np.int64)


class SamplingError(ValueError):
    """What was asked of a sampler cannot be sampled; the text says why."""


@dataclass
class Nodes:
    """The nodes of one label in a batch: row in the store and time asked about, in order of the hop that met them.

    `by_hop[h]` is how many were met up to hop h; the seeds are hop 0 and come first.
    """

    rows: NDArray[np.int64]
    times: NDArray[np.int64]
    by_hop: list[int]


@dataclass
class Edges:
    """The edges of one relation in a batch, by the node they end in.

    Edges `offsets[i]:offsets[i + 1]` end in node i of the relation's `dst` label; `source` is the place of the other
    end; `position` the edge in the store. `by_hop[h]` says how many end in nodes met up to hop h.
    """

    relation: int
    source: NDArray[np.int64]
    position: NDArray[np.int64]
    offsets: NDArray[np.int64]
    by_hop: list[int]


@dataclass
class Batch:
    """What was sampled: the first `seeds[label]` nodes of a label are the seeds, one each in the order asked."""

    seeds: dict[str, int]
    hops: int
    nodes: dict[str, Nodes]
    edges: list[Edges]


class TemporalSampler:
    """Draws up to `fanouts[hop]` edges of each relation at each node; the same seed gives the same batch."""

    def __init__(
        self,
        store: Store,
        fanouts: list[int],
        *,
        relations: Mapping[str, list[int]] | None = None,
        half_life_days: float | None = None,
        seed: int = 0,
    ):
        """Args:
            fanouts: edges of a relation drawn at a node, by hop.
            relations: fan-outs of single relations by name, in place of `fanouts`.
            half_life_days: None draws uniformly; else an edge so much older is half as likely.

        Raises:
            SamplingError: a fan-out is below 0, no hop, a relation is unknown, or the half-life is not above 0.
        """
        of = {rel.name: list((relations or {}).get(rel.name, fanouts)) for rel in store.relations}
        unknown = set(relations or {}) - set(of)
        if unknown:
            raise SamplingError(f"Fan-outs are given for relations the store has not: {sorted(unknown)}.")
        if not fanouts or any(len(f) != len(fanouts) or min(f) < 0 for f in of.values()):
            raise SamplingError(f"Needed is a fan-out of 0 or more for each hop and relation; found {of or fanouts}.")
        if half_life_days is not None and not half_life_days > 0:
            raise SamplingError(f"The half-life must be above 0 days, found {half_life_days}.")
        self.store, self.fanouts, self.seed = store, of, seed
        self.hops = len(fanouts)
        self._half_life = 0 if half_life_days is None else max(1, int(half_life_days * 86_400e6))

    def sample(self, label: str, rows: NDArray[np.int64], times: NDArray[np.int64] | None = None) -> Batch:
        """Return the neighborhoods of the nodes `rows` of `label`, each at its time (inclusive, microseconds).

        Raises:
            SamplingError: the label or a row does not exist.
        """
        return self.sample_around({label: (rows, times)})

    def sample_around(self, seeds: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64] | None]]) -> Batch:
        """Return the neighborhoods of nodes of several labels: rows and times by label, all times as in `sample`.

        Raises:
            SamplingError: a label or a row does not exist.
        """
        numbered = {name: _Numbered() for name in self.store.nodes}
        for label, (rows, times) in seeds.items():
            if label not in self.store.nodes:
                raise SamplingError(f"The store has no nodes of label {label!r}; it has {sorted(self.store.nodes)}.")
            asked = np.asarray(rows, np.int64)
            if len(asked) and not 0 <= asked.min() <= asked.max() < self.store.nodes[label].count:
                raise SamplingError(
                    f"A seed is no node of {label}: rows are 0 to {self.store.nodes[label].count - 1:,}."
                )
            numbered[label].begin(asked, np.full(len(asked), NO_TIME) if times is None else np.asarray(times, np.int64))
        ends = {name: [0, numbered[name].count] for name in numbered}  # where each hop's nodes begin
        parts: dict[int, list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]] = {}
        for hop in range(self.hops):
            for i, rel in enumerate(self.store.relations):
                first, last = ends[rel.dst][hop], ends[rel.dst][hop + 1]
                take = self.fanouts[rel.name][hop]
                here = numbered[rel.dst]
                counts = np.zeros(last - first, np.int64)
                source = position = _NONE
                if take and last > first and len(rel):
                    found, counts = kernels.draw(
                        rel.indptr, rel.since, _NONE if rel.until is None else rel.until, here.rows[first:last],
                        here.times[first:last], take, self._half_life, self._salt(hop, i),
                    )  # fmt: skip
                    times_here = here.times[first:last]
                    position, row, time = kernels.flattened(found, counts, rel.neighbor, times_here)
                    source = numbered[rel.src].add(row, time)
                parts.setdefault(i, []).append((source, position, counts))
            for name, of in numbered.items():
                ends[name].append(of.count)
        nodes = {
            name: Nodes(of.rows[: of.count], of.times[: of.count], ends[name][1:]) for name, of in numbered.items()
        }
        edges = [_joined(i, part) for i, part in parts.items() if any(len(p[0]) for p in part)]
        return Batch({label: len(rows) for label, (rows, _) in seeds.items()}, self.hops, nodes, edges)

    def _salt(self, hop: int, relation: int) -> int:
        return int(np.uint64((self.seed * 1_000_003 + hop * 8_191 + relation * 131 + 7) & 0x7FFFFFFFFFFFFFFF))


def _joined(relation: int, parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]) -> Edges:
    source, position, counts = (np.concatenate([p[k] for p in parts]) for k in range(3))
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return Edges(relation, source, position, offsets, list(np.cumsum([len(p[0]) for p in parts])))


class _Numbered:
    """The nodes of one label met so far in a batch, each (row, time) once."""

    def __init__(self) -> None:
        self.count = 0
        self.rows, self.times = np.empty(0, np.int64), np.empty(0, np.int64)
        self._slots = np.full(16, -1, np.int64)

    def begin(self, rows: NDArray[np.int64], times: NDArray[np.int64]) -> None:
        """Take the seeds as the first nodes, each one its own; later nodes find the first of twins."""
        self.rows, self.times, self.count = rows.copy(), times.copy(), len(rows)
        self._seat(len(rows))

    def add(self, rows: NDArray[np.int64], times: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the place of each node, new ones at the end."""
        most = self.count + len(rows)
        if most > len(self.rows):
            room = max(most, 2 * len(self.rows))
            self.rows, self.times = np.resize(self.rows, room), np.resize(self.times, room)
        if 2 * most >= len(self._slots):
            self._seat(most)
        places = np.empty(len(rows), np.int64)
        self.count = kernels.place(self._slots, self.rows, self.times, self.count, rows, times, places)
        return places

    def _seat(self, most: int) -> None:
        self._slots = np.full(1 << (2 * most + 8).bit_length(), -1, np.int64)
        kernels.seat(self._slots, self.rows, self.times, self.count)
