"""Every node's state, one layer after another, from all neighbors that stood at one moment.

Each layer is computed once for each node; sampling computes a node again for everybody who meets it. States lie in
memory-mapped files, so that a graph larger than memory passes through in chunks (Ying et al. 2018, PinSage).
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gnn.data.store import Relation, Store
from gnn.models.bag import Bags
from gnn.models.inputs import LayerEdges, ages_at, node_inputs, standing
from gnn.models.sage import Layer, Sage
from gnn.sampling.temporal import NO_TIME

CHUNK = 50_000  # nodes worked on at a time
_EDGES = 4_000_000  # edges of a relation read at a time
_State = NDArray[np.float32]
_Aged = dict[tuple[int, tuple[int, int]], Tensor | None]  # the mean age of edges, by relation and rows they end in


@torch.no_grad()
def score_all(
    model: Sage, store: Store, time: int = NO_TIME, *, chunk: int = CHUNK, scratch: Path | None = None
) -> NDArray[np.float32]:
    """Return the logit of every node of the model's label as of `time` (inclusive, microseconds), float32 (nodes,).

    The same as the model's forward pass on the whole graph, to rounding.

    Args:
        scratch: where states are kept meanwhile: 4 bytes x hidden x nodes, three times; the system's temporary folder.
    """
    model.eval()
    wanted = wanted_labels(model)
    with TemporaryDirectory(dir=scratch) as folder:
        states = _States(Path(folder), int(model.told["hidden"]))
        h = {name: states.new(f"0-{name}", store.nodes[name].count) for name in wanted[0]}
        for name, state in h.items():
            for at in _chunks(len(state), chunk):
                rows = np.arange(at.start, at.stop)
                state[at] = model.entered(name, node_inputs(store, name, rows, np.full(len(rows), time))).numpy()
        aged: _Aged = {}
        for number, module in enumerate(model.layers):
            assert isinstance(module, Layer)
            h = _next(module, store, h, wanted[number + 1], time, chunk, states, number + 1, aged)
        logits = np.empty(store.nodes[model.label].count, np.float32)
        for at in _chunks(len(logits), chunk):
            logits[at] = model.leave(torch.from_numpy(h[model.label][at])).squeeze(1).numpy()
    return logits


class _States:
    """Arrays float32 (nodes, hidden) in files of one folder."""

    def __init__(self, folder: Path, hidden: int):
        self._folder, self._hidden = folder, hidden

    def new(self, name: str, count: int) -> _State:
        shape = (count, self._hidden)
        if not count:
            return np.empty(shape, np.float32)
        return np.lib.format.open_memmap(self._folder / f"{name}.npy", "w+", np.float32, shape)

    def drop(self, prefix: str) -> None:
        for path in self._folder.glob(f"{prefix}-*.npy"):
            path.unlink()


def wanted_labels(model: Sage) -> list[set[str]]:
    """Return the labels whose states are needed before each layer, and after the last."""
    found = [{model.label}]
    for _ in model.layers:
        found.insert(0, found[0] | {src for src, _, dst in model.relations if dst in found[0]})
    return found


def _chunks(count: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _next(
    layer: Layer, store: Store, h: dict[str, _State], wanted: set[str], time: int, chunk: int, states: _States,
    number: int, aged: _Aged,
) -> dict[str, _State]:  # fmt: skip
    normed = {name: states.new(f"n{number}-{name}", len(state)) for name, state in h.items()}
    for name, state in h.items():
        for at in _chunks(len(state), chunk):
            normed[name][at] = layer.norm[name](torch.from_numpy(state[at])).numpy()
    whole = {name: torch.from_numpy(array) for name, array in normed.items()}
    after = {}
    for name in sorted(wanted):
        after[name] = states.new(f"{number}-{name}", len(h[name]))
        ending = [(i, rel) for i, rel in enumerate(store.relations) if rel.dst == name and len(rel)]
        for at in _chunks(len(h[name]), chunk):
            own = whole[name][at]
            told = [_told(layer, i, rel, at, whole[rel.src], own, time, aged) for i, rel in ending]
            after[name][at] = layer.after(name, torch.from_numpy(h[name][at]), own, told).numpy()
    states.drop(f"n{number}")
    states.drop(str(number - 1))
    return after


def _told(
    layer: Layer, number: int, rel: Relation, at: slice, source: Tensor, own: Tensor, time: int, aged: _Aged
) -> Tensor:
    """Return what a relation brings to consecutive rows; a part of them at a time where they have many edges."""
    indptr = np.asarray(rel.indptr[at.start : at.stop + 1])
    parts = []
    for first, last in pairwise([0, *_cuts(indptr), len(own)]):
        rows = at.start + first, at.start + last
        neighbor, offsets, since = standing(rel, time, *rows)
        edges = LayerEdges(number, Bags(neighbor, offsets, len(source)), None)
        if layer.attends:
            edges.age = ages_at(since, time)
        else:  # the ages that stand at one moment are the same in every layer
            if (number, rows) not in aged:
                aged[number, rows] = _mean(ages_at(since, time), edges.bags)
            edges.aged = aged[number, rows]
        parts.append(layer.aggregated(edges, source, own[first:last]))
    return torch.cat(parts)


def _mean(age: Tensor | None, bags: Bags) -> Tensor | None:
    if age is None or not len(age):
        return None
    each = torch.arange(len(age))
    return functional.embedding_bag(each, age, bags.offsets, mode="mean", include_last_offset=True)


def _cuts(indptr: NDArray[np.int64]) -> list[int]:
    """Return where to cut rows so that no part has many more than `_EDGES` edges; a row is never cut."""
    marks = np.arange(indptr[0] + _EDGES, indptr[-1], _EDGES)
    return [int(cut) for cut in np.unique(np.searchsorted(indptr, marks)) if 0 < cut < len(indptr) - 1]
