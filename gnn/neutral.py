"""Node classification in the neutral format: one `.npz` file, so that any public graph can be tried."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from gnn.data.store import ALWAYS, NodeSet, Relation, Store, relation

NODE = "node"


class BadFileError(Exception):
    """A file cannot be used; the text names the array, what was needed and what was found."""


@dataclass(frozen=True)
class Task:
    """A graph, its labels and its splits. `y`: 1, 0, or -1 where there is no label; masks: (splits, nodes)."""

    name: str
    store: Store
    y: NDArray[np.int64]
    train: NDArray[np.bool_]
    validation: NDArray[np.bool_]
    test: NDArray[np.bool_]

    @property
    def x(self) -> NDArray[np.float32]:
        """Features, float32 (nodes, features)."""
        x = self.store.nodes[NODE].x
        assert x is not None
        return x


def read_task(path: Path) -> Task:
    """Return the task in a file: `x`, `edge_index`, `y`, three masks, and `edge_time`, `edge_type` where given.

    Edges are taken as undirected, each pair once, with its earliest time; loops are dropped. Types become relations.

    Raises:
        BadFileError: an array is missing, of another shape, not finite, names an unknown node, or a split lacks
            a class.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, BadZipFile) as error:
        raise BadFileError(f"{path} cannot be read as .npz: {type(error).__name__}. Needed: numpy's savez.") from None
    for name in ("x", "edge_index", "y", "train_mask", "val_mask", "test_mask"):
        if name not in arrays:
            raise BadFileError(f"{path} lacks the array {name!r}; it has {sorted(arrays)}.")
    x, y, ends = arrays["x"], arrays["y"], arrays["edge_index"]
    n = len(x)
    if x.ndim != 2 or y.shape != (n,):
        raise BadFileError(f"Needed: x (N, F) and y (N,); found x {x.shape} and y {y.shape}.")
    if not np.issubdtype(x.dtype, np.number) or not np.isfinite(x).all():
        bad = int((~np.isfinite(x)).any(axis=1).sum()) if np.issubdtype(x.dtype, np.number) else n
        raise BadFileError(f"x must hold finite numbers; {bad:,} of {n:,} rows hold NaN or infinity. Fill them first.")
    if ends.ndim != 2 or ends.shape[0] != 2 or not np.issubdtype(ends.dtype, np.integer):
        raise BadFileError(f"edge_index must be whole numbers (2, E); found {ends.dtype} {ends.shape}.")
    if ends.size and not 0 <= ends.min() <= ends.max() < n:
        raise BadFileError(f"edge_index names nodes from {ends.min()} to {ends.max()}; there are {n:,}, from 0.")
    if not np.isin(y, (-1, 0, 1)).all():
        raise BadFileError(f"y must be 1, 0, or -1 for no label; found {np.unique(y)[:5].tolist()}.")
    masks = {}
    for name in ("train_mask", "val_mask", "test_mask"):
        mask = np.atleast_2d(arrays[name])
        if mask.shape[1:] != (n,) or mask.dtype != np.bool_:
            raise BadFileError(f"{name} must be bool (S, {n}); found {arrays[name].dtype} {arrays[name].shape}.")
        masks[name] = mask & (y >= 0)
    if len({len(mask) for mask in masks.values()}) > 1:
        raise BadFileError(f"The masks have different numbers of splits: { {k: len(v) for k, v in masks.items()} }.")
    _check_splits(masks, y)
    columns = tuple(f"x{i}" for i in range(x.shape[1]))
    nodes = NodeSet(NODE, n, columns, np.ascontiguousarray(x, np.float32))
    store = Store({NODE: nodes}, _relations(ends, arrays, n))
    return Task(path.stem, store, y.astype(np.int64), masks["train_mask"], masks["val_mask"], masks["test_mask"])


def _check_splits(masks: dict[str, NDArray[np.bool_]], y: NDArray[np.int64]) -> None:
    names = list(masks)
    for i in range(len(masks[names[0]])):
        for name in names:
            classes = set(np.unique(y[masks[name][i]]).tolist())
            if classes != {0, 1}:
                raise BadFileError(f"Split {i} of {name} holds labels {sorted(classes)}; both 0 and 1 are needed.")
        for a, b in (names[:2], names[1:], names[::2]):
            both = int((masks[a][i] & masks[b][i]).sum())
            if both:
                raise BadFileError(f"Split {i}: {both:,} nodes are in {a} and in {b}; a node may be in one part only.")


def _relations(ends: NDArray[np.int64], arrays: dict[str, NDArray[np.int64]], n: int) -> tuple[Relation, ...]:
    count = ends.shape[1]
    for name in ("edge_time", "edge_type"):
        if name in arrays and arrays[name].shape != (count,):
            raise BadFileError(f"{name} must be ({count},), one for each edge; found {arrays[name].shape}.")
    kinds = np.asarray(arrays.get("edge_type", np.zeros(count, np.int64)))
    times = np.asarray(arrays["edge_time"], np.int64) * 1_000_000 if "edge_time" in arrays else None
    found = []
    for kind in np.unique(kinds) if count else [0]:
        here = (kinds == kind) & (ends[0] != ends[1])
        low, high = np.minimum(*ends[:, here]), np.maximum(*ends[:, here])
        when = np.full(len(low), ALWAYS, np.int64) if times is None else times[here]
        order = np.lexsort((when, high, low))
        low, high, when = low[order], high[order], when[order]
        first = np.ones(len(low), bool)
        first[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
        low, high, when = low[first], high[first], when[first]
        both = np.concatenate([low, high]), np.concatenate([high, low])
        found.append(relation(f"type_{kind}", NODE, NODE, both, n, np.concatenate([when, when])))
    return tuple(found)
