"""GraphSAGE over all kinds of contact, read for pairs: both ends' states, and those of whom they share.

Sources: Hamilton, Ying and Leskovec 2017 (GraphSAGE); Wang, Yang and Zhang 2024, "Neural Common Neighbor with
Completion" (NCN: the states of shared neighbors tell a pair); Chamberlain et al. 2023 (BUDDY: counts of shared
structure stand beside). The whole graph of a window fits in memory, so nothing is sampled.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

from algorithms.leads.contact_events import KINDS
from algorithms.leads.contact_graph import Floats, Ints
from gnn.leads.pair_features import Pairs, node_columns
from gnn.leads.questions import Known
from gnn.leads.rankings import Scaling

HIDDEN = 32
_ROWS = 40_000  # pairs at once when scoring


@dataclass(frozen=True)
class Inputs:
    """A window as tensors: `x` (N + 1, columns), for each kind a sparse (N + 1, N + 1) whose rows sum to 1 or 0."""

    x: Tensor
    by_kind: list[Tensor]


def _tensor(matrix: Any) -> Tensor:
    of = matrix.tocsr()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that sparse rows are new to PyTorch is no news to the user
        return torch.sparse_csr_tensor(
            torch.from_numpy(of.indptr.astype(np.int64)), torch.from_numpy(of.indices.astype(np.int64)),
            torch.from_numpy(of.data.astype(np.float32)), size=of.shape, check_invariants=True,
        )  # fmt: skip


def _matrix(indptr: Ints, indices: Ints, values: Floats, n: int) -> Any:
    return sparse.csr_matrix((values, indices, indptr), shape=(n, n))


def node_inputs(known: Known, names: list[str]) -> tuple[np.ndarray, list[Tensor]]:
    """Return the nodes' features (N + 1, names), float32, and how much of each neighbor a node takes, by kind."""
    told = node_columns(known)
    none = np.zeros(known.n + 1)
    x = np.stack([told.get(name, none) for name in names], axis=1).astype(np.float32)
    by_kind = []
    for kind in KINDS:
        graph = known.part(known.events.of_kind(kind))
        shares = graph.weight / graph.strength[graph.rows]
        by_kind.append(_tensor(_matrix(graph.indptr, graph.indices, shares, graph.n)))
    return x, by_kind


def shared(known: Known, sources: Ints, candidates: Ints) -> Tensor:
    """Return whom each pair shares, the rare counting more: sparse (P, N + 1)."""
    graph = known.graph
    ones = _matrix(graph.indptr, graph.indices, np.ones(len(graph.indices)), graph.n)
    rare = ones.multiply(1 / np.log(2 + graph.degree)[None, :]).tocsr()
    return _tensor(ones[sources].multiply(rare[candidates]))


class Encoder(nn.Module):
    """Two layers of messages by kind, then a score of pairs."""

    def __init__(self, node_columns_count: int, pair_columns_count: int):
        super().__init__()
        self.enter = nn.Linear(node_columns_count, HIDDEN)
        self.own = nn.ModuleList(nn.Linear(HIDDEN, HIDDEN) for _ in range(2))
        self.of_kind = nn.ModuleList(
            nn.ModuleList(nn.Linear(HIDDEN, HIDDEN, bias=False) for _ in KINDS) for _ in range(2)
        )
        self.norm = nn.ModuleList(nn.LayerNorm(HIDDEN) for _ in range(2))
        self.pair = nn.Linear(2 * HIDDEN + pair_columns_count, HIDDEN)
        self.leave = nn.Linear(HIDDEN, 1)
        self.straight = nn.Linear(pair_columns_count, 1, bias=False)

    def states(self, inputs: Inputs) -> Tensor:
        """Return the nodes' states (N + 1, HIDDEN)."""
        h = functional.gelu(self.enter(inputs.x))
        for own, kinds, norm in zip(self.own, self.of_kind, self.norm, strict=True):
            told = own(h)
            for of, links in zip(kinds, inputs.by_kind, strict=True):  # type: ignore[call-overload]
                told = told + of(links @ h)
            h = h + functional.dropout(functional.gelu(norm(told)), 0.3, self.training)
        return h

    def forward(self, h: Tensor, sources: Tensor, candidates: Tensor, both: Tensor, known: Tensor) -> Tensor:
        """Return the logits (P,) of pairs from the nodes' states, whom they share, and their scaled features."""
        told = torch.cat([h[sources] * h[candidates], torch.log1p((both @ h).abs()), known], dim=1)
        hidden = functional.dropout(functional.gelu(self.pair(told)), 0.3, self.training)
        logits: Tensor = (self.leave(hidden) + self.straight(known)).squeeze(1)
        return logits


class GraphSage:
    """The encoder trained for the order within each source; scores pairs."""

    def __init__(self, told: list[Pairs], columns: list[str], seed: int, *, epochs: int = 30):
        self.columns = columns
        self.scaling = Scaling.of(np.concatenate([pairs.matrix(columns) for pairs in told]))
        self.node_names = sorted({name for pairs in told for name in node_columns(pairs.known)})
        raw = [node_inputs(pairs.known, self.node_names) for pairs in told]
        self.node_scaling = Scaling.of(np.concatenate([x for x, _ in raw]))
        windows = [
            (
                Inputs(torch.from_numpy(self.node_scaling(x)), by_kind),
                *self._pair_inputs(pairs, slice(None)), *_groups(pairs),
            )
            for (x, by_kind), pairs in zip(raw, told, strict=True)
        ]  # fmt: skip
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = Encoder(len(self.node_names), len(columns))
            optimizer = torch.optim.AdamW(self.model.parameters(), lr=3e-3, weight_decay=0.05)
            plan = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
            for _ in range(epochs):
                for inputs, sources, candidates, both, known, group, share in windows:
                    optimizer.zero_grad()
                    logits = self.model(self.model.states(inputs), sources, candidates, both, known)
                    _loss(logits, group, share).backward()  # type: ignore[no-untyped-call]
                    optimizer.step()
                plan.step()
        self.model.eval()

    def _pair_inputs(self, pairs: Pairs, rows: slice) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        sources, candidates = pairs.source[rows], pairs.candidate[rows]
        known = torch.from_numpy(self.scaling(pairs.matrix(self.columns)[rows]))
        both = shared(pairs.known, sources, candidates)
        return torch.from_numpy(sources), torch.from_numpy(candidates), both, known

    def __call__(self, pairs: Pairs) -> Floats:
        """Return scores (P,) of pairs."""
        x, by_kind = node_inputs(pairs.known, self.node_names)
        with torch.no_grad():
            h = self.model.states(Inputs(torch.from_numpy(self.node_scaling(x)), by_kind))
            parts = [
                self.model(h, *self._pair_inputs(pairs, slice(begin, begin + _ROWS)))
                for begin in range(0, len(pairs.source), _ROWS)
            ]
        return np.asarray(torch.cat(parts).numpy(), np.float64) if parts else np.empty(0)


def _groups(pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Return the source's place of each pair, and the share of each in what its source gained."""
    group = np.repeat(np.arange(len(pairs.starts) - 1), np.diff(pairs.starts))
    gained = pairs.gained.astype(np.float32)
    share = gained / np.maximum(np.bincount(group, gained)[group], 1)
    return torch.from_numpy(group), torch.from_numpy(share.astype(np.float32))


def _loss(logits: Tensor, group: Tensor, share: Tensor) -> Tensor:
    """Return the mean over sources of -ln of the chance of what was gained, by a softmax over its candidates."""
    groups = int(group[-1]) + 1
    top = logits.new_full((groups,), -torch.inf).scatter_reduce(0, group, logits.detach(), "amax")
    total = logits.new_zeros(groups).index_add(0, group, (logits - top[group]).exp())
    return -((logits - top[group] - total.log()[group]) * share).sum() / groups
