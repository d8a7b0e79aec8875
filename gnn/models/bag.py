"""Mean over neighbors as one fused step, forward and backward."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import torch
from numba import njit, prange
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
        self._ends: Tensor | None = None

    def to(self, device: torch.device) -> Bags:
        """Return the same edges for tensors of a device."""
        moved = copy(self)
        moved.source, moved.offsets, moved.share = (t.to(device) for t in (self.source, self.offsets, self.share))
        moved._back = moved._ends = None
        return moved

    def back(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return targets, offsets and edges by the node an edge leaves; made on the first call."""
        if self._back is None:
            starts, target, edge = _turned(self._source, self._offsets, self.count)
            found = (torch.from_numpy(part).to(self.source.device) for part in (target, starts, edge))
            self._back = next(found), next(found), next(found)
        return self._back

    def ends(self) -> Tensor:
        """Return the target of each edge, int64 (E,); made on the first call."""
        if self._ends is None:
            targets = torch.arange(self.targets, device=self.offsets.device)
            self._ends = torch.repeat_interleave(targets, self.offsets.diff())
        return self._ends


def _bag(h: Tensor, index: Tensor, offsets: Tensor, share: Tensor) -> Tensor:
    if not len(index):
        return h.new_zeros(len(offsets) - 1, h.shape[1])
    return functional.embedding_bag(
        index, h, offsets, mode="sum", per_sample_weights=share.to(h.dtype), include_last_offset=True
    )


@njit(cache=True, parallel=True)
def _dots(a: Any, b: Any, source: NDArray[np.int64], offsets: NDArray[np.int64]) -> Any:
    """Return for each edge the product of a row of `a` (its target) and of `b` (its source)."""
    found = np.empty(len(source), np.float32)
    for i in prange(len(offsets) - 1):
        for k in range(offsets[i], offsets[i + 1]):
            total = np.float32(0)
            for j in range(a.shape[1]):
                total += a[i, j] * b[source[k], j]
            found[k] = total
    return found


def _products(gradient: Tensor, h: Tensor, bags: Bags) -> Tensor:
    if gradient.device.type == "cpu":
        arrays = gradient.numpy(), h.numpy(), bags.source.numpy(), bags.offsets.numpy()
        return torch.from_numpy(_dots(*arrays))
    return (gradient[bags.ends()] * h[bags.source]).sum(1)


class _Weighted(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor, share: Tensor, bags: Bags) -> Tensor:
        ctx.bags = bags
        ctx.save_for_backward(h, share)
        return _bag(h, bags.source, bags.offsets, share)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None]:
        (h, share), bags = ctx.saved_tensors, ctx.bags
        gradient = gradient.contiguous()
        target, offsets, edge = bags.back()
        of_share = None
        if ctx.needs_input_grad[1]:
            of_share = _products(gradient, h.detach(), bags).to(share.dtype)
        return _bag(gradient, target, offsets, share[edge]), of_share, None


def weighted_sum(h: Tensor, share: Tensor, bags: Bags) -> Tensor:
    """Return for each target the sum of `h` (bags.count, F) over its edges, each times `share` (E,): (targets, F)."""
    found: Tensor = _Weighted.apply(h.contiguous(), share, bags)
    return found
