"""The chance that a number is the right one: a conditional logit over a borrower's candidates and nobody at all.

McFadden 1974, "Conditional logit analysis of qualitative choice behavior". The outside option, nobody, is what lets the
ranker abstain. Terms, reach and harm are data: `algorithms/rules/leads.yml`.
"""

from __future__ import annotations

import hashlib
import json
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

RULES = Path(__file__).parents[1] / "rules" / "leads.yml"
_ONE = 2.0**44  # leaves room for 500,000 candidates of a borrower


class LeadRulesError(Exception):
    """The rules of leads cannot be used; the text names the file and what to mend."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Term(_Strict):
    """A part of a utility: `weight` × `value`, which is SQL over the columns of `evidence.lead_evidence`."""

    name: str
    value: str
    weight: float


class Factor(_Strict):
    """What is left of the chance to reach the person, in [0, 1], as SQL."""

    name: str
    value: str


class Harm(_Strict):
    """What a call costs that helps nobody, where `when` holds first."""

    name: str
    when: str
    value: float = Field(ge=0, le=1)


class LeadRules(_Strict):
    """`rules/leads.yml`."""

    version: int
    minimum: float = Field(ge=0, le=1)
    most: int = Field(ge=1)
    minimum_choices: int = Field(ge=1)
    prior_choices: float = Field(gt=0)
    nobody: tuple[Term, ...] = Field(min_length=1)
    own: tuple[Term, ...] = Field(min_length=1)
    others: tuple[Term, ...] = Field(min_length=1)
    reach: tuple[Factor, ...]
    harm: tuple[Harm, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all terms: those of `nobody`, which `terms` puts into `x0`, then those of `x`."""
        return tuple(term.name for term in (*self.nobody, *self.own, *self.others))

    @property
    def digest(self) -> str:
        """Digest of the terms' names and values: rows of other terms teach nothing about these weights."""
        parts = {"x": (*self.own, *self.others), "x0": self.nobody}
        told = {column: [(term.name, term.value) for term in part] for column, part in parts.items()}
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]

    @property
    def weights(self) -> NDArray[np.float64]:
        """The weights as written, in the order of `names`."""
        return np.array([term.weight for term in (*self.nobody, *self.own, *self.others)])


def read_rules(path: Path = RULES) -> LeadRules:
    """Return the rules of a file.

    Raises:
        LeadRulesError: a key is missing or unknown, a value of the wrong type, or a name stands twice.
    """
    try:
        rules = LeadRules.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        raise LeadRulesError(f"{path.name} holds no rules of leads: {error}") from None
    if len(set(rules.names)) < len(rules.names):
        raise LeadRulesError(f"{path.name}: each term needs a name of its own.")
    return rules


def terms(evidence: DataFrame, rules: LeadRules) -> DataFrame:
    """Return `evidence` with the value of each term, float64: `x` (of the candidate: terms of `own`, then of `others`)
    and `x0` (of `nobody`).

    Raises:
        LeadRulesError: a value is no SQL over the columns of the evidence.
    """
    zero = F.lit(0.0)

    def value(term: Term) -> Column:
        return F.coalesce(F.expr(term.value).cast("double"), zero)

    x = [F.when(F.col("own"), value(term)).otherwise(zero) for term in rules.own]
    x += [F.when(F.col("own"), zero).otherwise(value(term)) for term in rules.others]
    x0 = [value(term) for term in rules.nobody]
    try:
        return evidence.withColumns({"x": F.array(*x), "x0": F.array(*x0)})
    except AnalysisException as error:
        raise LeadRulesError(f"leads.yml asks for what is not known of a candidate: {error.getMessage()}") from None


def ranked(told: DataFrame, rules: LeadRules, weights: NDArray[np.float64]) -> DataFrame:
    """Return the candidates with `right`, `reach`, `probability` (their product), `harm` and `score`.

    Args:
        told: what `terms` returned.
        weights: in the order of `rules.names`.
    """
    nobody = len(rules.nobody)
    utility, outside = _dot("x", weights[nobody:]), _dot("x0", weights[:nobody])
    person = Window.partitionBy("person_id")
    reach = reduce(lambda a, b: a * b, (F.expr(f.value).cast("double") for f in rules.reach))
    harm: Column = F.lit(0.0)
    for rule in reversed(rules.harm):
        harm = F.when(F.expr(rule.when), F.lit(rule.value)).otherwise(harm)
    worth = told.withColumns({"_u": utility, "_0": outside})
    # Added up as whole numbers, so that the order of the rows does not show in the last digits.
    top = worth.withColumn("_top", F.max(F.greatest("_u", "_0")).over(person))
    mass = top.withColumns({"_u": F.exp(F.col("_u") - F.col("_top")), "_0": F.exp(F.col("_0") - F.col("_top"))})
    all_of = F.sum((F.col("_u") * _ONE).cast("long")).over(person) / _ONE
    shared = mass.withColumn("right", F.col("_u") / (all_of + F.col("_0"))).drop("_u", "_0", "_top")
    return (
        shared.withColumn("reach", reach)
        .withColumn("probability", F.col("right") * F.col("reach"))
        .withColumn("harm", harm)
        .withColumn("score", F.col("probability") * (1 - F.col("harm")))
    )


def _dot(column: str, weights: NDArray[np.float64]) -> Column:
    parts = [F.col(column)[i] * F.lit(float(w)) for i, w in enumerate(weights)]
    return reduce(lambda a, b: a + b, parts)


def fit(
    x: NDArray[np.float64],
    x0: NDArray[np.float64],
    sets: NDArray[np.int64],
    chosen: NDArray[np.bool_],
    rules: LeadRules,
) -> NDArray[np.float64]:
    """Return the weights that tell best which candidates were right, held towards those of the rules.

    A Gaussian prior around the written weights counts for `prior_choices` borrowers; with fewer than
    `minimum_choices` borrowers the written weights are returned.

    Args:
        x: (candidates, terms); `x0`: the same of nobody, equal within a borrower.
        sets: (candidates,), which borrower, numbered from 0 without gaps, in rising order.
        chosen: (candidates,), at most one of a borrower; none: nobody was right.
    """
    from scipy.optimize import minimize

    prior = rules.weights
    count = int(sets[-1]) + 1 if len(sets) else 0
    if count < rules.minimum_choices:
        return prior
    starts = np.flatnonzero(np.diff(sets, prepend=-1))
    outside = x0[starts]
    picked = np.add.reduceat(x * chosen[:, None], starts, axis=0)
    nobody = 1.0 - np.add.reduceat(chosen.astype(np.float64), starts)
    observed = (picked + outside * nobody[:, None]).sum(axis=0)
    strength = rules.prior_choices / 40.0  # a weight's own spread is about 1; of 40 choices each says about as much

    def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        u, u0 = x @ w, outside @ w
        top = np.maximum(np.maximum.reduceat(u, starts), u0)
        e, e0 = np.exp(u - top[sets]), np.exp(u0 - top)
        whole = np.add.reduceat(e, starts) + e0
        value = float((top + np.log(whole)).sum() - observed @ w)
        share, share0 = e / whole[sets], e0 / whole
        gradient = x.T @ share + outside.T @ share0 - observed
        gap = w - prior
        return value + 0.5 * strength * float(gap @ gap), gradient + strength * gap

    found: Any = minimize(loss, prior, jac=True, method="L-BFGS-B")
    return np.asarray(found.x, np.float64)
