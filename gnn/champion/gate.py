"""The gate: a challenger takes the champion's place when it finds more frauds with the same alerts, later in time.

Everything the decision rests on is an argument; the same arguments give the same decision, on any machine and with any
version of numpy (the raw bits of PCG64 do not change: NEP 19).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from gnn.champion.bootstrap import Bootstrap, bootstrap, bootstrap_once
from gnn.champion.card import Labels, Predictions
from gnn.champion.measures import alerts

CHANCE = "chance"


class GateError(Exception):
    """The gate was asked something it cannot answer; the text says what was needed, what was found, what to do."""


class GateSettings(BaseSettings):
    """`GATE_MIN_POSITIVES`, `GATE_AP_TOLERANCE`."""

    model_config = SettingsConfigDict(env_prefix="GATE_", extra="forbid", frozen=True)
    min_positives: int = Field(default=50, ge=1)  # frauds in the window, below which nothing is decided
    ap_tolerance: float = Field(default=0.01, ge=0, le=1)  # by how much average precision may seem worse


class Reason(StrEnum):
    """Why a decision was made; all but `won` refuse the challenger."""

    WON = "won"
    NOT_BETTER = "not_better"  # recall at the budget is not surely higher
    WORSE_RANKING = "worse_ranking"  # average precision may be lower by more than the tolerance
    OTHER_APPLICATIONS = "other_applications"
    NOT_LATER = "not_later"
    BAD_SCORES = "bad_scores"
    LABELS_DISAGREE = "labels_disagree"
    ONE_CLASS = "one_class"
    FEW_POSITIVES = "few_positives"


@dataclass(frozen=True)
class Comparison:
    """The challenger beside one rival, a model or `chance`; differences are challenger less rival.

    `_lower` is the lower bound of the one-sided interval; the interval holds it.
    """

    rival: str
    recall: float
    ap: float
    recall_difference: float
    recall_lower: float
    ap_difference: float
    ap_lower: float


@dataclass(frozen=True)
class Decision:
    """What the gate decided and on what. Shares are in [0, 1]; figures are None where nothing was compared.

    Attributes:
        sentence: the reason in words, with the figures it rests on.
        champion: the model in place, or None: there was none yet.
        applications: with a known label; `clusters` of them are independent of each other; `alerted` would be alerted.
        recall: the challenger's share of the frauds found at the budget; `ap` its average precision.
    """

    promoted: bool
    reason: Reason
    sentence: str
    challenger: str
    champion: str | None
    budget: float
    seed: int
    rounds: int
    confidence: float
    applications: int | None = None
    positives: int | None = None
    clusters: int | None = None
    alerted: int | None = None
    recall: float | None = None
    ap: float | None = None
    comparisons: tuple[Comparison, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return the decision as plain values, for JSON."""
        return asdict(self) | {"reason": str(self.reason), "comparisons": [asdict(c) for c in self.comparisons]}


@dataclass(frozen=True)
class Replay(Decision):
    """A decision made anew from the registered files; `differs` names what is not as the ledger has it."""

    differs: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether the ledger says the same: words exactly, figures to nine decimals."""
        return not self.differs


def replayed(decision: Decision, told: Mapping[str, Any]) -> Replay:
    """Return the decision beside its `record` of before."""
    old, new = dict(_leaves(told)), dict(_leaves(decision.record()))
    differs = [f"{name}: {old.get(name)} then, {new.get(name)} now" for name in sorted({*old, *new})
               if not _alike(old.get(name), new.get(name))]  # fmt: skip
    return Replay(**{f.name: getattr(decision, f.name) for f in fields(decision)}, differs=tuple(differs))


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping | list | tuple):
        yield name, value
        return
    for key, part in value.items() if isinstance(value, Mapping) else enumerate(value):
        yield from _leaves(part, f"{name}.{key}" if name else str(key))


def _alike(a: Any, b: Any) -> bool:
    # Sums of floats may end differently on another processor.
    return bool(a == b or (isinstance(a, float) and isinstance(b, float) and abs(a - b) <= 1e-9))


class _RefusedError(Exception):
    """The two cannot be compared."""

    def __init__(self, reason: Reason, sentence: str):
        super().__init__(sentence)
        self.reason = reason


def decide(
    champion: Predictions | None,
    challenger: Predictions,
    *,
    budget: float,
    rounds: int = 2000,
    seed: int,
    confidence: float = 0.95,
    baseline: Predictions | None = None,
    settings: GateSettings | None = None,
) -> Decision:
    """Return whether the challenger is promoted, and why.

    Every rival must be beaten: the champion, or chance where there is none yet, and the baseline if it is given. All
    must be beaten at once, so the confidence of each is that of the whole. Beaten means that of a one-sided interval
    of the difference, by the paired percentile bootstrap over persons (Efron & Tibshirani 1993, "An Introduction to
    the Bootstrap", chapter 13; clusters: Field & Welsh 2007, "Bootstrapping clustered data"),
    - the lower bound for recall at the budget is above 0, and
    - the lower bound for average precision is not below minus `settings.ap_tolerance`.
    Only applications whose label is known to either side count. Everything else that stands in the way, such as other
    applications or scores that are not numbers, is a decision too: refused, with its reason.

    Args:
        champion: the model in place, or None.
        budget: share of applications alerted, in (0, 1).
        rounds: of the bootstrap, at least 100.
        seed: 0 or more.
        confidence: of the one-sided interval, in [0.5, 1).
        baseline: a model that the first champion has to beat as well.

    Raises:
        GateError: budget, rounds, seed or confidence is out of bounds.
    """
    _check(budget, rounds, seed, confidence)
    settings = settings or GateSettings()
    rivals = [rival for rival in (champion, baseline) if rival is not None]
    standing = champion.version if champion else None
    asked = Decision(
        False, Reason.NOT_BETTER, "", challenger.version, standing, budget, seed, rounds, confidence
    )  # fmt: skip
    try:
        rows = _together([challenger, *rivals])
        labels = rows["label"].to_numpy()
        positives = int(labels.sum())
        _enough(labels, settings)
    except _RefusedError as error:
        return replace(asked, reason=error.reason, sentence=f"{challenger.version} is refused. {error}")
    scores = [rows[f"score_{i}"].to_numpy() for i in range(1 + len(rivals))]
    clusters = _clusters(rows)
    found = bootstrap(scores, labels, clusters, budget=budget, rounds=rounds, seed=seed)
    whole = bootstrap_once(scores, labels, np.ones((1, len(labels)), np.int32), budget)
    names = [rival.version for rival in rivals]
    others = [(name, 1 + i) for i, name in enumerate(names)] + ([] if champion else [(CHANCE, -1)])
    compared = tuple(_compared(name, i, whole, found, 1 - confidence) for name, i in others)
    reason, said = _verdict(challenger.version, compared, float(whole.recall[0, 0]), settings)
    return replace(
        asked, promoted=reason is Reason.WON, reason=reason, sentence=said, applications=len(labels),
        positives=positives, clusters=int(clusters.max()) + 1, alerted=alerts(len(labels), budget),
        recall=float(whole.recall[0, 0]), ap=float(whole.ap[0, 0]), comparisons=compared,
    )  # fmt: skip


def _compared(name: str, i: int, whole: Bootstrap, found: Bootstrap, tail: float) -> Comparison:
    # "lower" takes a value that came up, the smaller of two: steps of recall never round in the challenger's favor.
    recall_lower, ap_lower = (
        float(np.quantile(part[0] - part[i], tail, method="lower")) for part in (found.recall, found.ap)
    )
    recall, ap = float(whole.recall[i, 0]), float(whole.ap[i, 0])
    return Comparison(
        name, recall, ap, float(whole.recall[0, 0]) - recall, recall_lower, float(whole.ap[0, 0]) - ap, ap_lower
    )


def _verdict(name: str, compared: Sequence[Comparison], recall: float, settings: GateSettings) -> tuple[Reason, str]:
    for c in compared:
        told = f"it finds {recall:.1%} of the frauds at the budget and {c.rival} {c.recall:.1%}"
        if c.recall_lower <= 0:
            bound = f"the lower bound of the difference is {100 * c.recall_lower:+.2f} points and must be above 0"
            return Reason.NOT_BETTER, f"{name} is refused: {told}; {bound}. Train on, or wait for a longer window."
        if c.ap_lower < -settings.ap_tolerance:
            bound = f"average precision may be worse by {-c.ap_lower:.3f}, more than {settings.ap_tolerance:.3f}"
            return Reason.WORSE_RANKING, f"{name} is refused: {told}, but {bound}. Look beyond the first alerts."
    beaten = ", ".join(f"{c.rival} {c.recall:.1%} (at least {100 * c.recall_lower:.2f} points less)" for c in compared)
    return Reason.WON, f"{name} is promoted: it finds {recall:.1%} of the frauds at the budget, {beaten}."


def _check(budget: float, rounds: int, seed: int, confidence: float) -> None:
    for name, found, fits, needed in (
        ("budget", budget, 0 < budget < 1, "a share of applications in (0, 1), such as 0.01"),
        ("rounds", rounds, rounds >= 100, "100 or more, such as 2000"),
        ("seed", seed, seed >= 0, "a whole number from 0"),
        ("confidence", confidence, 0.5 <= confidence < 1, "in [0.5, 1), such as 0.95"),
    ):
        if not fits:
            raise GateError(f"The gate needs a {name} that is {needed}; it was given {found}.")


def _together(models: Sequence[Predictions]) -> pl.DataFrame:
    """Return `label`, `score_0` …, `person_id` of the applications with a known label, by application_id.

    Raises:
        _RefusedError: the models cannot be compared.
    """
    first = models[0]
    for model in models:
        _numbers(model)
        _later(first, model)
    rows = first.rows.rename({"score": "score_0"})
    for i, model in enumerate(models[1:], 1):
        _same(first, model)
        side = model.rows.select(
            "application_id", score=pl.col("score"), other=pl.col("label"), at_="at", who="person_id"
        )
        rows = rows.join(side.rename({"score": f"score_{i}"}), "application_id", maintain_order="left")
        clash = rows.filter((pl.col("label") >= 0) & (pl.col("other") >= 0) & (pl.col("label") != pl.col("other")))
        if len(clash):
            raise _RefusedError(
                Reason.LABELS_DISAGREE,
                f"{first.version} and {model.version} were scored with different labels for {len(clash):,} "
                f"applications, {clash['application_id'][0]} among them. Read the labels anew for both.",
            )
        if len(moved := rows.filter(pl.col("at") != pl.col("at_"))):
            raise _RefusedError(
                Reason.OTHER_APPLICATIONS,
                f"{first.version} and {model.version} date {len(moved):,} applications differently, "
                f"{moved['application_id'][0]} among them. Score both on the same table.",
            )
        rows = rows.with_columns(
            label=pl.max_horizontal("label", "other"), person_id=pl.coalesce("person_id", "who")
        ).drop("other", "at_", "who")
    return rows.filter(pl.col("label") >= 0)


def _numbers(model: Predictions) -> None:
    bad = model.rows.filter(~pl.col("score").is_finite())
    if len(bad):
        raise _RefusedError(
            Reason.BAD_SCORES,
            f"{len(bad):,} of {len(model.rows):,} scores of {model.version} are no finite numbers, that of "
            f"{bad['application_id'][0]} first. Mend the model and score again.",
        )


def _later(challenger: Predictions, model: Predictions) -> None:
    """Refuse unless every application of the window came when the model had learned all it learned."""
    if model.learned_until is None:
        return
    until = model.learned_until.astimezone(UTC)
    rows = challenger.rows.filter(pl.col("at") < until)
    if len(rows):
        raise _RefusedError(
            Reason.NOT_LATER,
            f"{model.version} learned from applications before {_day(until)}, and {len(rows):,} of the "
            f"{len(challenger.rows):,} to decide on are from before, {rows['application_id'][0]} among them. "
            "Score both on a later window.",
        )


def _same(first: Predictions, other: Predictions) -> None:
    mine, theirs = first.rows["application_id"], other.rows["application_id"]
    if mine.equals(theirs):
        return
    lacking = [(first, sorted({*theirs} - {*mine})), (other, sorted({*mine} - {*theirs}))]
    told = " and ".join(
        f"{model.version} lacks {len(ids):,}, {ids[0]} among them" for model, ids in lacking if ids
    )  # fmt: skip
    raise _RefusedError(
        Reason.OTHER_APPLICATIONS, f"Both models must have scored the same applications: {told}. Score those with it."
    )


def _enough(labels: Labels, settings: GateSettings) -> None:
    frauds, count = int(labels.sum()), len(labels)
    if frauds in (0, count):
        raise _RefusedError(
            Reason.ONE_CLASS,
            f"Labels of both classes are needed; {frauds:,} of {count:,} known ones are frauds. Wait for verdicts.",
        )
    if frauds < settings.min_positives:
        raise _RefusedError(
            Reason.FEW_POSITIVES,
            f"{settings.min_positives:,} frauds are needed in the window; there are {frauds:,}. Take a longer window.",
        )


def _clusters(rows: pl.DataFrame) -> NDArray[np.int64]:
    """Return the number of each row's person; an application without one is on its own."""
    who = pl.when(pl.col("person_id").is_null()).then(pl.concat_str(pl.lit("a:"), "application_id")).otherwise(
        pl.concat_str(pl.lit("p:"), "person_id")
    )  # fmt: skip
    ranks: NDArray[np.int64] = rows.select(who.rank("dense")).to_series().to_numpy().astype(np.int64) - 1
    return ranks


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
