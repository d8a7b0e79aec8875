"""The kinds of model in the race on a store, and how each is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from gnn.data.store import Store
from gnn.training import models
from gnn.training.columns import LABEL, View, columns
from gnn.training.parts import Parts
from gnn.training.sage import Examples, SageSettings, Told, train

STACK = "stack"


@dataclass
class Work:
    """One race: the data, the windows, and what has been trained so far with its scores of all seeds.

    `label`: what the seeds' labels tell, `fraud` or `missed`; kept on the cards.
    """

    store: Store
    seeds: pl.DataFrame
    parts: Parts
    folder: Path
    settings: SageSettings = field(default_factory=lambda: SageSettings())
    resume: bool = False
    told: Told | None = None
    label: str = "fraud"
    done: dict[str, models.Model] = field(default_factory=dict)
    scores: dict[str, models.Scores] = field(default_factory=dict)

    @property
    def labels(self) -> np.ndarray:
        """1, 0, or −1 of every seed."""
        return self.seeds["label"].to_numpy()


def _logistic(work: Work) -> models.Model:
    names, values = columns(work.store, work.seeds, "own")
    train, check = work.parts.train, work.parts.validation
    mean, scale = np.nanmean(values[train], axis=0), np.nanstd(values[train], axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    even = np.nan_to_num((values - mean) / scale)
    fits = [LogisticRegression(C=c, max_iter=1000).fit(even[train], work.labels[train]) for c in (0.01, 0.1, 1.0)]
    best = max(fits, key=lambda f: average_precision_score(work.labels[check], f.decision_function(even[check])))
    return models.Logistic(names, mean, scale, best.coef_[0], float(best.intercept_[0]))


def _trees(view: View, with_sage: bool = False) -> Callable[[Work], models.Model]:
    def fit(work: Work) -> models.Model:
        import lightgbm

        names, values = columns(work.store, work.seeds, view)
        sage: models.Sage | None = None
        if with_sage:
            found = trained(work, "sage_mean")
            assert isinstance(found, models.Sage)
            sage = found
            told = sage.states(work.store, work.seeds).astype(np.float32)
            names += tuple(f"state_{i}" for i in range(told.shape[1]))
            values = np.concatenate([values, told], axis=1)
        train, check = work.parts.train, work.parts.validation
        data = lightgbm.Dataset(values[train], work.labels[train].astype(float), feature_name=list(names))
        held = data.create_valid(values[check], work.labels[check].astype(float))
        settings = {
            "objective": "binary", "metric": "average_precision", "learning_rate": 0.03, "num_leaves": 15,
            "min_data_in_leaf": 20, "bagging_fraction": 0.8, "bagging_freq": 1, "feature_fraction": 0.5,
            "lambda_l2": 5.0, "verbose": -1, "seed": work.settings.seed, "deterministic": True, "num_threads": 2,
        }  # fmt: skip
        stop = lightgbm.early_stopping(80, verbose=False)
        booster = lightgbm.train(settings, data, 1500, valid_sets=[held], callbacks=[stop])
        return models.Trees(names, view, booster, sage)

    return fit


def _sage(aggregation: str) -> Callable[[Work], models.Model]:
    def fit(work: Work) -> models.Model:
        settings = work.settings.model_copy(update={"aggregation": aggregation})
        rows, times = (work.seeds[name].cast(pl.Int64).to_numpy() for name in ("node", "at"))
        learn, check = (
            Examples(rows[part], times[part], work.labels[part].astype(np.int64))
            for part in (work.parts.train, work.parts.validation)
        )
        folder = work.folder / f"sage_{aggregation}"
        network = train(work.store, LABEL, learn, check, settings, folder, resume=work.resume, told=work.told)
        features = tuple(f"{label}.{name}" for label, n in work.store.nodes.items() for name in (*n.features, *n.facts))
        return models.Sage(network, settings, work.store.schema_digest(), features)

    return fit


def _stack(work: Work) -> models.Model:
    names = [name for name in CONTENDERS if name != STACK]
    for name in names:
        trained(work, name)
    told = {name: models.bounded_logit(work.scores[name]) for name in names}
    check = work.parts.validation
    while True:  # a model that would count against itself is left out
        x = np.stack([told[name][check] for name in names], axis=1)
        fit = LogisticRegression(C=0.1, max_iter=1000).fit(x, work.labels[check])
        if len(names) == 1 or (fit.coef_[0] >= 0).all():
            break
        names.pop(int(fit.coef_[0].argmin()))
    weights = {name: float(w) for name, w in zip(names, fit.coef_[0], strict=True)}
    return models.Stack({name: work.done[name] for name in names}, weights, float(fit.intercept_[0]))


CONTENDERS: dict[str, Callable[[Work], models.Model]] = {
    "logistic": _logistic,
    "trees": _trees("own"),
    "trees_graph": _trees("graph"),
    "sage_mean": _sage("mean"),
    "sage_attention": _sage("attention"),
    "trees_sage": _trees("graph", with_sage=True),
    STACK: _stack,
}


def trained(work: Work, name: str) -> models.Model:
    """Return the contender of that name, trained once a race, its scores of all seeds in `work.scores`."""
    if name not in work.done:
        work.done[name] = CONTENDERS[name](work)
        model = work.done[name]
        if isinstance(model, models.Stack):
            work.scores[name] = model.together(work.scores)
        else:
            work.scores[name] = model.score(work.store, work.seeds)
    return work.done[name]
