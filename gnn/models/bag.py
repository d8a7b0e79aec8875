"""Mean over neighbors as one fused step, forward and backward."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


@njit(cache=True)
def _turned(source: NDArray[np.int64], offsets: NDArray[np.int64], count: int) -> Any:
    """Return the same edges by the node they leave: offsets (count + 1), targets, and which edge each was."""
    starts = np.zeros(count + 1, np.int64)
    for s in source:
        starts[s + 1] += 1
    for i in range(count):
        starts[i + 1] += starts[i]
    fill = starts[:-1].copy()
    target, edge = np.empty(len(source), np.int64), np.empty(len(source), np.int64)
    for i in range(len(offsets) - 1):
        for k in range(offsets[i], offsets[i + 1]):
            at = fill[source[k]]
            target[at] = i
            edge[at] = k
            fill[source[k]] += 1
    return starts, target, edge


class Bags:
    """The edges of one relation for one layer: `source` int64 (E,), `offsets` int64 (targets + 1,)."""

    def __init__(self, source: NDArray[np.int64], offsets: NDArray[np.int64], count: int):
        """Args:
        count: nodes of the relation's `src` label that the layer reads.
        """
        self.targets, self.count = len(offsets) - 1, count
        self._source, self._offsets = source, offsets
        self.source, self.offsets = torch.from_numpy(source), torch.from_numpy(offsets)
        sizes = np.diff(offsets)
        self.share = torch.from_numpy(np.repeat(1 / np.maximum(sizes, 1), sizes).astype(np.float32))
        self._back: tuple[Tensor, Tensor, Tensor] | None = None

    def back(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return targets, offsets and shares by the node an edge leaves; made on the first call."""
        if self._back is None:
            starts, target, edge = _turned(self._source, self._offsets, self.count)
            share = self.share[torch.from_numpy(edge)]
            self._back = torch.from_numpy(target), torch.from_numpy(starts), share
        return self._back


def _bag(h: Tensor, index: Tensor, offsets: Tensor, share: Tensor) -> Tensor:
    if not len(index):
        return h.new_zeros(len(offsets) - 1, h.shape[1])
    return functional.embedding_bag(
        index, h, offsets, mode="sum", per_sample_weights=share.to(h.dtype), include_last_offset=True
    )


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor, bags: Bags) -> Tensor:
        ctx.bags = bags
        return _bag(h, bags.source, bags.offsets, bags.share)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        index, offsets, share = ctx.bags.back()
        return _bag(gradient.contiguous(), index, offsets, share), None


def mean_of_neighbors(h: Tensor, bags: Bags) -> Tensor:
    """Return for each target the mean of `h` (bags.count, F) over its edges, 0 without any: (bags.targets, F)."""
    found: Tensor = _Mean.apply(h.contiguous(), bags)
    return found


def mean_of_edges(values: Tensor, bags: Bags) -> Tensor:
    """Return for each target the mean of what its edges carry (E, F): (bags.targets, F). Not differentiated."""
    order = torch.arange(len(values))
    return _bag(values, order, bags.offsets, bags.share)
