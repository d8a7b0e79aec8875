"""Why an application has its score: contributions that sum to ln(odds), the strongest of them in words.

TreeSHAP of trees (Lundberg et al. 2020), weight times value of a linear model, integrated gradients of GraphSAGE; of a
stack the members' contributions times their weights.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gnn.data.store import Store
from gnn.reason_words import UNKNOWN_FACTS, of_column, of_fact, of_links
from gnn.training.columns import LABEL, chosen, columns
from gnn.training.models import Logistic, Model, Sage, Stack, Trees, bounded_logit

MOST = 5  # reasons told of one application
_LEAST = 0.05  # ln(odds): less is not worth a sentence
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
class Link:
    """One edge that GraphSAGE's score rests on: its ends as (label, row of the store), and what it adds to ln(odds)."""

    relation: str
    src: tuple[str, int]
    dst: tuple[str, int]
    contribution: float


@dataclass(frozen=True)
class Explanation:
    """Why one application has its score: `base` and all `reasons` (strongest first) sum to ln(odds), but for `error`.

    `links`: the strongest edges of GraphSAGE, which the reasons about links add up. `without`: the one whose absence
    lowers GraphSAGE's ln(odds) most, with what that is now and what would be left; None where none carries it. In a
    stack both are of its first GraphSAGE member, contributions by its weight.
    """

    base: float
    reasons: tuple[Reason, ...]
    error: float = 0.0
    without: tuple[Link, float, float] | None = None
    links: tuple[Link, ...] = ()

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
            scores = bounded_logit(model.score(store, seeds))
            rows = zip(seeds.select("node", "at").iter_rows(), scores, strict=True)
            return [_of_sage(model, store, node, at, float(score)) for (node, at), score in rows]
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
    found: dict[str, float] = defaultdict(float)
    for name, value, part in zip(features, values, parts[:-1], strict=True):
        if part:
            found[_STATES if name.startswith("state_") else of_column(name, float(value))] += float(part)
    return Explanation(float(parts[-1]), _sorted(found))


def _of_sage(model: Sage, store: Store, node: int, at: int, score: float) -> Explanation:
    """Explain on as many edges as there are; the score drew a few of them, so the error is by what it is missed."""
    from gnn.sage_explanations import EdgePart, explain

    told = explain(model.network, store, node, at)
    nodes = store.nodes[LABEL]
    own = {} if nodes.x is None else dict(zip(nodes.features, nodes.x[node].tolist(), strict=True))
    found: dict[str, float] = defaultdict(float)
    for name, part in told.features:
        if name in own:
            found[of_column(name, own[name])] += part
        else:
            known = nodes.known is not None and nodes.known[node, nodes.facts.index(name)] <= at
            found[of_fact(name) if known else UNKNOWN_FACTS] += part
    counts = Counter(of_links(edge.relation) for edge in told.edges)
    for edge in told.edges:
        said = of_links(edge.relation)
        found[said if counts[said] == 1 else f"{said} ({counts[said]:,})"] += edge.contribution
    found["what is known of the nodes around"] += told.others

    def link(edge: EdgePart) -> Link:
        rel = store.relations[edge.number]
        return Link(edge.relation, (rel.src, edge.src), (rel.dst, edge.dst), edge.contribution)

    without = None
    if told.without is not None and told.logit - told.without[1] >= _LEAST:
        without = link(told.without[0]), told.logit, told.without[1]
    reasons = _sorted(found)
    error = abs(score - told.base - sum(reason.contribution for reason in reasons))
    return Explanation(told.base, reasons, error, without, tuple(link(edge) for edge in told.edges[:MOST]))


def _weighed(model: Stack, told: dict[str, Explanation]) -> Explanation:
    total: dict[str, float] = defaultdict(float)
    for name, weight in model.weights.items():
        for reason in told[name].reasons:
            total[reason.text] += weight * reason.contribution
    base = model.bias + sum(weight * told[name].base for name, weight in model.weights.items())
    error = sum(weight * told[name].error for name, weight in model.weights.items())
    nothing = 1.0, Explanation(0.0, ())
    weight, sage = next(((model.weights[name], one) for name, one in told.items() if one.links), nothing)
    links = tuple(replace(link, contribution=weight * link.contribution) for link in sage.links)
    return Explanation(base, _sorted(total), error, sage.without, links)


def _sorted(found: dict[str, float]) -> tuple[Reason, ...]:
    reasons = (Reason(text, part) for text, part in found.items())
    return tuple(sorted(reasons, key=lambda reason: (-abs(reason.contribution), reason.text)))
