"""The arrays the local engine works on, and the checks at its door."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.uint32]
Flags = NDArray[np.bool_]
Weights = NDArray[np.float32]
Floats = NDArray[np.float64]
Offsets = NDArray[np.int64]

MOST_NODES = 2**31 - 2


class CommunitiesError(Exception):
    """What was asked of the communities could not be done; the message says why and what to do."""


class BadEdgesError(CommunitiesError):
    """An edge table that cannot be read as a graph."""


class WrongComponentsError(CommunitiesError):
    """An engine returned components that the edges contradict."""


class MethodMissingError(CommunitiesError):
    """The engine has no such method."""


def checked(src: Any, dst: Any, n: int, weight: Any = None) -> tuple[Ids, Ids, Weights | None]:
    """Return both ends as uint32 and the weights as float32, or refuse them by name.

    Raises:
        BadEdgesError: unequal lengths, an end outside 0 … n - 1, or a weight that is negative or not finite.
    """
    if not 0 <= n <= MOST_NODES:
        raise BadEdgesError(f"Between 0 and {MOST_NODES:,} nodes were needed, {n:,} were given; split the graph.")
    a, b = np.ascontiguousarray(src, np.uint32), np.ascontiguousarray(dst, np.uint32)
    if len(a) != len(b):
        raise BadEdgesError(f"src and dst must have one row per edge; they have {len(a):,} and {len(b):,}.")
    if len(a) and max(int(a.max()), int(b.max())) >= n:
        raise BadEdgesError(f"Every end must be below n = {n:,}; the largest is {max(int(a.max()), int(b.max())):,}.")
    if weight is None:
        return a, b, None
    w = np.ascontiguousarray(weight, np.float32)
    if len(w) != len(a):
        raise BadEdgesError(f"weight must have one value per edge; it has {len(w):,} for {len(a):,} edges.")
    if bad := int(np.count_nonzero(~(np.isfinite(w) & (w >= 0)))):
        raise BadEdgesError(f"{bad:,} of {len(w):,} weights are negative, empty or not finite; correct or drop them.")
    return a, b, w
