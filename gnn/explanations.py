"""Why an application has its score: contributions that sum to ln(odds), the strongest of them in words.

TreeSHAP of trees (Lundberg et al. 2020), weight times value of a linear model, integrated gradients of GraphSAGE; of a
stack the members' contributions times their weights.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from algorithms.features.catalogue import FEATURES
from gnn.data.store import Store
from gnn.training.columns import LABEL, chosen, columns
from gnn.training.models import Logistic, Model, Sage, Stack, Trees

MOST = 5  # reasons told of one application
_LEAST = 0.05  # ln(odds): less is not worth a sentence
_MEANING = {feature.name: feature.meaning for feature in FEATURES}
_STATES = "what GraphSAGE sees in the neighborhood"


@dataclass(frozen=True)
class Reason:
    """One reason: a sentence, and what it adds to ln(odds) of the score before calibration."""

    text: str
    contribution: float

    def record(self) -> dict[str, str | float]:
        """Return it as the column `reasons` of applicant_scores holds it."""
        return {"text": self.text, "contribution": self.contribution}


@dataclass(frozen=True)
class Explanation:
    """Why one application has its score: `base` and all `reasons` (strongest first) sum to ln(odds), but for `error`.

    `without`: what one link less would do, in words; None where no link carries the score.
    """

    base: float
    reasons: tuple[Reason, ...]
    error: float = 0.0
    without: str | None = None

    @property
    def logit(self) -> float:
        """ln(odds), as base and reasons make it."""
        return self.base + sum(reason.contribution for reason in self.reasons)


def explained(model: Model, store: Store, seeds: pl.DataFrame) -> list[Explanation]:
    """Return the explanation of each application.

    Trees and linear models are explained at once; GraphSAGE takes about a second an application.
    """
    match model:
        case Trees() | Logistic():
            parts, values = contributions(model, store, seeds)
            return [_told(model.features, row, row_values) for row, row_values in zip(parts, values, strict=True)]
        case Sage():
            return [_of_sage(model, store, node, at) for node, at in seeds.select("node", "at").iter_rows()]
        case Stack():
            found = {name: explained(model.members[name], store, seeds) for name in model.weights}
            return [_weighed(model, {name: told[i] for name, told in found.items()}) for i in range(len(seeds))]
        case _:
            raise TypeError(f"no explanation of {type(model).__name__}")


def contributions(
    model: Trees | Logistic, store: Store, seeds: pl.DataFrame
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return what each feature adds to ln(odds), (seeds, features + 1), the last column what all start from; and the
    values (seeds, features). A row sums to ln(odds) of the model's score, to 1e-6."""
    if isinstance(model, Trees):
        values = model.values(store, seeds)
        return np.asarray(model.booster.predict(values, pred_contrib=True), np.float64), values
    values = chosen(*columns(store, seeds, "own"), model.features)
    parts = np.nan_to_num((values - model.mean) / model.scale) * model.weights
    return np.hstack([parts, np.full((len(parts), 1), model.bias)]), values


def strongest(told: Explanation) -> list[Reason]:
    """Return the few reasons worth a sentence."""
    return [reason for reason in told.reasons if abs(reason.contribution) >= _LEAST][:MOST]


def _told(features: tuple[str, ...], parts: NDArray[np.float64], values: NDArray[np.float32]) -> Explanation:
    found, of_states = [], 0.0
    for name, value, part in zip(features, values, parts[:-1], strict=True):
        if name.startswith("state_"):
            of_states += float(part)
        elif part:
            found.append(Reason(words(name, float(value)), float(part)))
    if of_states:
        found.append(Reason(_STATES, of_states))
    return Explanation(float(parts[-1]), _sorted(found))


def _of_sage(model: Sage, store: Store, node: int, at: int) -> Explanation:
    from gnn.sage_explanations import explain

    told = explain(model.network, store, node, at)
    x = store.nodes[LABEL].x
    own = {} if x is None else dict(zip(store.nodes[LABEL].features, x[node].tolist(), strict=True))
    found = [Reason(words(name, own[name]) if name in own else name, part) for name, part in told.features]
    by_relation: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)
    for edge in told.edges:
        by_relation[edge.relation] += edge.contribution
        counts[edge.relation] += 1
    found += [Reason(f"linked by {name}: {counts[name]:,} edges", part) for name, part in by_relation.items()]
    found.append(Reason("what is known of the nodes around", told.others))
    without = None
    if told.without is not None:
        edge, left = told.without
        without = f"Without one {edge.relation} edge ln(odds) falls from {told.logit:.2f} to {left:.2f}."
    return Explanation(told.base, _sorted(found), told.error, without)


def _weighed(model: Stack, told: dict[str, Explanation]) -> Explanation:
    total: dict[str, float] = defaultdict(float)
    for name, weight in model.weights.items():
        for reason in told[name].reasons:
            total[reason.text] += weight * reason.contribution
    base = model.bias + sum(weight * told[name].base for name, weight in model.weights.items())
    error = sum(weight * told[name].error for name, weight in model.weights.items())
    without = next((one.without for one in told.values() if one.without), None)
    return Explanation(base, _sorted([Reason(text, part) for text, part in total.items()]), error, without)


def _sorted(found: list[Reason]) -> tuple[Reason, ...]:
    return tuple(sorted(found, key=lambda reason: (-abs(reason.contribution), reason.text)))


def words(name: str, value: float) -> str:
    """Return a feature and its value as an analyst reads them."""
    meaning = _MEANING.get(name, name.replace("_", " "))
    if np.isnan(value):
        return f"{meaning}: not known"
    return f"{meaning}: {value:.0%}" if name.endswith("_ratio") else f"{meaning}: {value:,.4g}"
