"""The race on a neutral file: every registered model on every split, and what each reached."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from gnn.models import aggregates, trees
from gnn.neutral import NODE, Task, read_task

Scores = NDArray[np.float64]
SELECTED = "selected"
STACK = "stack"


@dataclass
class Split:
    """One split of a task, and what the models that ran before found on it: scores of every node."""

    task: Task
    number: int
    found: dict[str, Scores] = field(default_factory=dict)
    states: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def train(self) -> NDArray[np.bool_]:
        """Which nodes to learn from."""
        return np.asarray(self.task.train[self.number])

    @property
    def validation(self) -> NDArray[np.bool_]:
        """Which nodes to choose by."""
        return np.asarray(self.task.validation[self.number])


Model = Callable[[Split], Scores]


class UnknownModelError(ValueError):
    """A model that is not registered was asked for; the text lists those that are."""


def _fit(split: Split, x: NDArray[np.float32], learner: Callable[..., Scores]) -> Scores:
    return learner(x, split.task.y, split.train, split.validation, split.number)


def _own_logistic(split: Split) -> Scores:
    return _fit(split, split.task.x, trees.logistic_regression)


def _own_trees(split: Split) -> Scores:
    return _fit(split, split.task.x, trees.boosted_trees)


def _neighbors(split: Split) -> aggregates.Columns:
    return aggregates.neighbor_columns(split.task.x, aggregates.adjacency(split.task.store, NODE))


def _labels(split: Split) -> aggregates.Columns:
    return aggregates.label_columns(split.task.y, split.train, aggregates.adjacency(split.task.store, NODE))


def _neighbor_trees(split: Split) -> Scores:
    return _fit(split, aggregates.together(_neighbors(split)), trees.boosted_trees)


def _label_trees(split: Split) -> Scores:
    return _fit(split, aggregates.together(_neighbors(split) | _labels(split)), trees.boosted_trees)


def _sage(aggregation: str) -> Model:
    def run(split: Split) -> Scores:
        import torch

        from gnn.models.full_batch import predicted, trained
        from gnn.models.inputs import whole
        from gnn.models.sage import Sage

        task, hops = split.task, 4 if aggregation == "mean" else 2
        inputs = whole(task.store, NODE, hops)
        degree = [np.log1p(np.diff(np.asarray(rel.indptr))).astype(np.float32) for rel in task.store.relations]
        inputs.x[NODE] = torch.cat([inputs.x[NODE], torch.from_numpy(np.stack(degree, axis=1))], dim=1)
        torch.manual_seed(split.number)
        model = Sage(
            {NODE: inputs.x[NODE].shape[1]}, [r.key for r in task.store.relations], NODE,
            hidden=64, layers=hops, dropout=0.3, aggregation=aggregation,  # type: ignore[arg-type]
        )  # fmt: skip
        trained(model, inputs, task.y, split.train, split.validation, seed=split.number)
        with torch.no_grad():
            split.states[f"sage-{aggregation}"] = model.eval().states(inputs).numpy()
        return predicted(model, inputs)

    return run


def _state_trees(split: Split) -> Scores:
    if "sage-mean" not in split.states:
        _sage("mean")(split)
    columns = _neighbors(split) | _labels(split) | {"states": split.states["sage-mean"]}
    return _fit(split, aggregates.together(columns), trees.boosted_trees)


def _stack(split: Split) -> Scores:
    """Weights of the models that ran before, fitted on the validation part (Wolpert 1992), none below 0."""
    logits = np.stack(
        [np.log(np.clip(s, 1e-6, 1 - 1e-6) / np.clip(1 - s, 1e-6, 1)) for s in split.found.values()], axis=1
    )
    held = split.validation
    kept = np.ones(logits.shape[1], bool)
    while True:  # a model that would count against itself is left out
        fit = LogisticRegression(C=0.1, max_iter=500).fit(logits[held][:, kept], split.task.y[held])
        if kept.sum() == 1 or (fit.coef_[0] >= 0).all():
            return np.asarray(fit.predict_proba(logits[:, kept])[:, 1], np.float64)
        kept[np.flatnonzero(kept)[fit.coef_[0].argmin()]] = False


MODELS: dict[str, Model] = {
    "logistic": _own_logistic,
    "trees": _own_trees,
    "trees-neighbors": _neighbor_trees,
    "trees-neighbors-labels": _label_trees,
    "sage-mean": _sage("mean"),
    "sage-attention": _sage("attention"),
    "trees-sage": _state_trees,
    STACK: _stack,
}


def figures(scores: Scores, y: NDArray[np.int64], part: NDArray[np.bool_]) -> dict[str, float]:
    """Return auc, ap and recall_at_k of one part; K is the number of positives in it, ties in order of the nodes."""
    told, truth = scores[part], y[part]
    best = np.argsort(-told, kind="stable")[: int(truth.sum())]
    return {
        "auc": float(roc_auc_score(truth, told)), "ap": float(average_precision_score(truth, told)),
        "recall_at_k": float(truth[best].mean()),
    }  # fmt: skip


def race(task: Task, names: list[str] | None = None) -> Iterator[tuple[int, str, dict[str, float]]]:
    """Run models on every split and yield (split, model, figures of the test part and `seconds`) as each is done.

    After the models of a split comes `selected`: whichever had the best AP on the validation part.

    Raises:
        UnknownModelError: a name is not registered, or `stack` has nothing to stack.
    """
    names = list(names or MODELS)
    unknown = [name for name in names if name not in MODELS]
    if unknown:
        raise UnknownModelError(f"There is no model {', '.join(unknown)}. There are: {', '.join(MODELS)}.")
    if names == [STACK]:
        raise UnknownModelError("The stack weighs other models: name at least one more, or none for all.")
    names.sort(key=list(MODELS).index)
    for number in range(len(task.train)):
        split, told = Split(task, number), {}
        for name in names:
            began = time.perf_counter()
            scores = MODELS[name](split)
            split.found[name] = scores
            seconds = time.perf_counter() - began
            told[name] = figures(scores, task.y, task.test[number]) | {"seconds": seconds}
            yield number, name, told[name]
        # The stack is fitted on the validation part, so what it reaches there says nothing: it is not selected by it.
        chosen = max(
            (n for n in names if n != STACK),
            key=lambda n: average_precision_score(task.y[split.validation], split.found[n][split.validation]),
        )
        yield number, SELECTED, told[chosen]


def summary(results: list[tuple[int, str, dict[str, float]]]) -> dict[str, Any]:
    """Return {"models": {name: {"auc": {"mean", "sd"}, "ap": …, "recall_at_k": …, "seconds": …}}} (contracts, 5)."""
    models: dict[str, Any] = {}
    for name in dict.fromkeys(name for _, name, _ in results):
        rows = [row for _, of, row in results if of == name]
        models[name] = {
            what: {"mean": float(np.mean([r[what] for r in rows])), "sd": float(np.std([r[what] for r in rows]))}
            for what in ("auc", "ap", "recall_at_k")
        } | {"seconds": float(np.sum([r["seconds"] for r in rows]))}
    return {"models": models}


def run(file: Path, names: list[str] | None, console: Console) -> dict[str, Any]:
    """Race models on a file, print the table, and return the summary.

    Raises:
        BadFileError: the file cannot be used.
        UnknownModelError: a name is not registered.
    """
    task = read_task(file)
    results = []
    with console.status("Reading") as status:
        for number, name, row in race(task, names):
            results.append((number, name, row))
            status.update(f"Split {number + 1} of {len(task.train)}: {name} reached AUC {row['auc']:.4f}")
    told = summary(results)
    table = Table(title=f"{task.name}: {len(task.train)} splits, test part")
    for column in ("model", "AUC", "AP", "Recall@K", "seconds"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for name, row in told["models"].items():
        cells = (f"{row[what]['mean']:.4f} ± {row[what]['sd']:.4f}" for what in ("auc", "ap", "recall_at_k"))
        table.add_row(name, *cells, f"{row['seconds']:.0f}")
    console.print(table)
    return told
