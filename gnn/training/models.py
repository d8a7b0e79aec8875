"""Trained models as files: written once, read anywhere, the same scores after."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit, logit

from gnn.data.store import Store
from gnn.training.columns import LABEL, View, chosen, columns

Scores = NDArray[np.float64]
ABOUT = "model.json"


class ModelError(Exception):
    """A model's files cannot be used; the text says what is wrong."""


class Model(Protocol):
    """Something that scores applications."""

    @property
    def features(self) -> tuple[str, ...]:
        """Return the names of what it looks at."""

    def score(self, store: Store, seeds: pl.DataFrame) -> Scores:
        """Return the score in [0, 1] of every seed, in their order."""

    def save(self, folder: Path) -> None:
        """Write everything needed to score again into an empty folder."""


@dataclass
class Logistic:
    """Logistic regression on own columns; values not known count as the mean."""

    features: tuple[str, ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    bias: float

    def score(self, store: Store, seeds: pl.DataFrame) -> Scores:
        """Return the score in [0, 1] of every seed."""
        values = chosen(*columns(store, seeds, "own"), self.features)
        return np.asarray(expit(np.nan_to_num((values - self.mean) / self.scale) @ self.weights + self.bias))

    def save(self, folder: Path) -> None:
        """Write `model.json`."""
        numbers = {name: getattr(self, name).tolist() for name in ("mean", "scale", "weights")}
        _about(folder, "logistic", features=self.features, bias=self.bias, **numbers)


@dataclass
class Trees:
    """Boosted trees on columns, and on GraphSAGE's states where `sage` is given."""

    features: tuple[str, ...]
    view: View
    booster: Any
    sage: Sage | None = None

    def values(self, store: Store, seeds: pl.DataFrame) -> NDArray[np.float32]:
        """Return what the trees look at, float32 (seeds, columns)."""
        names, found = columns(store, seeds, self.view)
        if self.sage is not None:
            told = self.sage.states(store, seeds)
            names += tuple(f"state_{i}" for i in range(told.shape[1]))
            found = np.concatenate([found, told.astype(np.float32)], axis=1)
        return chosen(names, found, self.features)

    def score(self, store: Store, seeds: pl.DataFrame) -> Scores:
        """Return the score in [0, 1] of every seed."""
        return np.asarray(self.booster.predict(self.values(store, seeds)), np.float64)

    def save(self, folder: Path) -> None:
        """Write `model.json`, `trees.txt`, and `sage/` where there is one."""
        _about(folder, "trees", features=self.features, view=self.view, sage=self.sage is not None)
        self.booster.save_model(str(folder / "trees.txt"))
        if self.sage is not None:
            self.sage.save(folder / "sage")


@dataclass
class Sage:
    """GraphSAGE on sampled neighborhoods."""

    network: Any
    settings: Any
    schema: str
    features: tuple[str, ...]

    def score(self, store: Store, seeds: pl.DataFrame) -> Scores:
        """Return the score in [0, 1] of every seed at its time."""
        from gnn.training.sage import scored

        self._check(store)
        return scored(self.network, store, LABEL, *_asked(seeds), self.settings)

    def states(self, store: Store, seeds: pl.DataFrame) -> Scores:
        """Return the last hidden states, (seeds, hidden)."""
        from gnn.training.sage import states

        self._check(store)
        return states(self.network, store, LABEL, *_asked(seeds), self.settings)

    def save(self, folder: Path) -> None:
        """Write `model.json` and `weights.pt`."""
        import torch

        _about(folder, "sage", features=self.features, schema=self.schema, network=self.network.told,
               settings=self.settings.model_dump(mode="json"))  # fmt: skip
        torch.save(self.network.state_dict(), folder / "weights.pt")

    def _check(self, store: Store) -> None:
        if store.schema_digest() != self.schema:
            raise ModelError(
                "The model was trained on other labels, features or relations than the store has "
                f"(schema {self.schema}, found {store.schema_digest()}). Make the store as it was, or train anew."
            )


@dataclass
class Stack:
    """A weighted sum of other models' logits (Wolpert 1992)."""

    members: dict[str, Model]
    weights: dict[str, float]
    bias: float

    @property
    def features(self) -> tuple[str, ...]:
        """Return what its members look at, each once."""
        return tuple(dict.fromkeys(name for member in self.members.values() for name in member.features))

    def score(self, store: Store, seeds: pl.DataFrame) -> Scores:
        """Return the score in [0, 1] of every seed."""
        return self.together({name: member.score(store, seeds) for name, member in self.members.items()})

    def together(self, scores: dict[str, Scores]) -> Scores:
        """Return the score from those of the members."""
        terms = (weight * bounded_logit(scores[name]) for name, weight in self.weights.items())
        return np.asarray(expit(sum(terms, start=np.float64(self.bias))))

    def save(self, folder: Path) -> None:
        """Write `model.json` and each member's folder."""
        _about(folder, "stack", weights=self.weights, bias=self.bias)
        for name, member in self.members.items():
            member.save(folder / name)


def bounded_logit(scores: Scores) -> Scores:
    """Return ln(odds) of scores, none beyond ±14."""
    return np.asarray(logit(np.clip(scores, 1e-6, 1 - 1e-6)))


def load(folder: Path) -> Model:
    """Return the model in a folder.

    Raises:
        ModelError: there is none, or it is of a kind not known here.
    """
    path = folder / ABOUT
    if not path.is_file():
        raise ModelError(f"A model was needed in {folder}: there is no {ABOUT}. Train one: python -m gnn train --help")
    told = json.loads(path.read_text())
    match told.pop("kind"):
        case "logistic":
            arrays = {name: np.array(told[name]) for name in ("mean", "scale", "weights")}
            return Logistic(tuple(told["features"]), **arrays, bias=told["bias"])
        case "trees":
            import lightgbm

            sage = load(folder / "sage") if told["sage"] else None
            assert sage is None or isinstance(sage, Sage)
            return Trees(tuple(told["features"]), told["view"], lightgbm.Booster(model_file=folder / "trees.txt"), sage)
        case "sage":
            import torch

            from gnn.models.sage import Sage as Network
            from gnn.training.sage import SageSettings

            network = Network(**told["network"])
            network.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
            settings = SageSettings.model_validate(told["settings"])
            return Sage(network.eval(), settings, told["schema"], tuple(told["features"]))
        case "stack":
            return Stack({name: load(folder / name) for name in told["weights"]}, told["weights"], told["bias"])
        case kind:
            raise ModelError(f"{path} says it is of kind {kind!r}; known are logistic, trees, sage and stack.")


def _asked(seeds: pl.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return seeds["node"].cast(pl.Int64).to_numpy(), seeds["at"].cast(pl.Int64).to_numpy()


def _about(folder: Path, kind: str, **told: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ABOUT).write_text(json.dumps({"kind": kind} | told, indent=1) + "\n")
