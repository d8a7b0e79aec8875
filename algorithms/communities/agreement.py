"""How far found communities agree with known ones: NMI, ARI and pairwise F1 over the ids that both name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from sklearn.metrics import (
    adjusted_rand_score,
    normalized_mutual_info_score,
)
from sklearn.metrics.cluster import pair_confusion_matrix

from algorithms.communities.arrays import BadEdgesError


@dataclass(frozen=True)
class Agreement:
    """The three figures, and how many ids only one side names; those are left out."""

    nmi: float
    ari: float
    pairwise_f1: float
    compared: int
    only_found: int
    only_truth: int


def agreement(found: pl.DataFrame, truth: pl.DataFrame) -> Agreement:
    """Return how far two tables (id, community) agree.

    Source: Strehl, Ghosh 2002 (NMI, arithmetic mean); Hubert, Arabie 1985 (ARI). Pairwise F1 is taken over the pairs of
    ids that lie together, counted by the contingency table and not one by one.

    Raises:
        BadEdgesError: an id of the truth is empty or has two communities, or no id is in both.
    """
    truth = truth.select(pl.col("id").cast(pl.String), pl.col("community").cast(pl.String).alias("truth")).unique()
    if empty := truth.filter(pl.any_horizontal(pl.all().is_null() | (pl.all() == ""))).height:
        raise BadEdgesError(f"{empty:,} rows of the truth have an empty id or community; fill or drop them.")
    if twice := truth.height - truth["id"].n_unique():
        raise BadEdgesError(f"The truth gives {twice:,} ids more than one community; each id needs one.")
    both = found.select(pl.col("id").cast(pl.String), "community").join(truth, on="id")
    if not both.height:
        raise BadEdgesError(
            f"None of the {truth.height:,} ids of the truth is among the {found.height:,} of the graph; check that "
            "both write ids alike."
        )
    a = both["community"].rank("dense").to_numpy()
    b = both["truth"].rank("dense").to_numpy()
    # Each pair is counted in both directions; the ratio is the same.
    (_, only_a), (only_b, together) = pair_confusion_matrix(b, a).astype(np.float64)
    return Agreement(
        nmi=float(normalized_mutual_info_score(b, a)),
        ari=float(adjusted_rand_score(b, a)),
        pairwise_f1=float(2 * together / (2 * together + only_a + only_b)) if together + only_a + only_b else 1.0,
        compared=both.height,
        only_found=found.height - both.height,
        only_truth=truth.height - both.height,
    )
