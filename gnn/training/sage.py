"""Training GraphSAGE on sampled neighborhoods, each as known when its application was made.

An epoch's order and draws follow from the seed and the epoch's number alone, so that a run that was cut off and
resumed ends as one that was not.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from sklearn.metrics import average_precision_score, roc_auc_score
from torch.nn import functional

from gnn.data.store import Store
from gnn.models.inputs import from_batch, node_inputs
from gnn.models.sage import Sage
from gnn.sampling.temporal import TemporalSampler

CHECKPOINT = "checkpoint.pt"
_STANDARD = 20_000  # seeds whose surroundings set the scale of inputs


class DeviceError(Exception):
    """The device asked for is not there; the text says what to ask for."""


class CheckpointError(Exception):
    """A checkpoint cannot be gone on from; the text says what differs."""


class SageSettings(BaseModel):
    """What a run is made with. `fanouts`: edges of each relation drawn at a node, by hop."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    aggregation: Literal["mean", "attention"] = "mean"
    hidden: int = Field(48, ge=1)
    fanouts: tuple[int, ...] = (10, 5)
    half_life_days: float | None = Field(None, gt=0)
    dropout: float = Field(0.2, ge=0, lt=1)
    learning_rate: float = Field(3e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    batch: int = Field(512, ge=1)
    epochs: int = Field(30, ge=1)
    patience: int = Field(5, ge=1)
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: cuda where there is one


@dataclass(frozen=True)
class Examples:
    """Seeds of one label: `rows` in the store, `times` (microseconds, inclusive), `labels` 1 or 0."""

    rows: NDArray[np.int64]
    times: NDArray[np.int64]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


Told = Callable[[int, float, float], None]  # epoch, loss, validation AUC


def train(
    store: Store,
    label: str,
    learn: Examples,
    check: Examples,
    settings: SageSettings,
    folder: Path,
    *,
    resume: bool = False,
    told: Told | None = None,
) -> Sage:
    """Return the model as it was when it scored `check` best (AP); stops after `patience` epochs without a better one.

    It comes back on the CPU, wherever it was trained; on a CPU the same seed gives the same model to the bit. Writes
    `folder/checkpoint.pt` after every epoch.

    Args:
        resume: go on from the checkpoint, if there is one.

    Raises:
        CheckpointError: the checkpoint is of another schema, other data or settings, or cannot be read.
        DeviceError: the device asked for is not there.
    """
    path, about, device = folder / CHECKPOINT, _about(store, label, settings, learn, check), _device(settings)
    torch.manual_seed(settings.seed)
    model = Sage.for_store(
        store, label, hidden=settings.hidden, layers=len(settings.fanouts), dropout=settings.dropout,
        aggregation=settings.aggregation,
    )  # fmt: skip
    model.to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    state: dict[str, Any] = {"epoch": -1, "best": -1.0, "waited": 0, "kept": None}
    if resume and path.exists():
        state = _resumed(path, about)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    else:
        model.standardize(_surroundings(store, label, learn, settings))
    for epoch in range(state["epoch"] + 1, settings.epochs):
        if state["waited"] >= settings.patience:
            break
        loss = _epoch(model, optimizer, store, label, learn, settings, epoch)
        scores = scored(model, store, label, check.rows, check.times, settings)
        ap = float(average_precision_score(check.labels, scores))
        better = ap > state["best"]
        state |= {"epoch": epoch, "best": max(ap, state["best"]), "waited": 0 if better else state["waited"] + 1}
        if better:
            state["kept"] = {name: value.clone() for name, value in model.state_dict().items()}
        _save(path, state | about | {"model": model.state_dict(), "optimizer": optimizer.state_dict()})
        if told is not None:
            told(epoch, loss, float(roc_auc_score(check.labels, scores)))
    model.load_state_dict(state["kept"])
    return model.cpu().eval()


def _device(settings: SageSettings) -> torch.device:
    there = torch.cuda.is_available()
    if settings.device == "cuda" and not there:
        raise DeviceError("A CUDA device was asked for and PyTorch finds none. Train with device auto or cpu.")
    return torch.device("cuda" if there and settings.device != "cpu" else "cpu")


def _epoch(
    model: Sage, optimizer: torch.optim.Optimizer, store: Store, label: str, learn: Examples, settings: SageSettings,
    epoch: int,
) -> float:  # fmt: skip
    torch.manual_seed(settings.seed * 100_003 + epoch + 1)
    model.train()
    order = torch.randperm(len(learn)).numpy()
    sampler = _sampler(store, settings, settings.seed * 100_003 + epoch + 1)
    total, device = 0.0, next(model.parameters()).device
    for part in np.array_split(order, max(1, round(len(order) / settings.batch))):
        inputs = from_batch(store, sampler.sample(label, learn.rows[part], learn.times[part])).to(device)
        target = torch.from_numpy(learn.labels[part]).float().to(device)
        optimizer.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(model(inputs), target)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        total += loss.item() * len(part)
    return total / max(1, len(order))


@torch.no_grad()
def scored(
    model: Sage, store: Store, label: str, rows: NDArray[np.int64], times: NDArray[np.int64], settings: SageSettings
) -> NDArray[np.float64]:
    """Return the score in [0, 1] of each seed at its time; the same store, model and settings give the same scores."""
    return torch.sigmoid(torch.from_numpy(_run(model, store, label, rows, times, settings, model.forward))).numpy()


@torch.no_grad()
def states(
    model: Sage, store: Store, label: str, rows: NDArray[np.int64], times: NDArray[np.int64], settings: SageSettings
) -> NDArray[np.float64]:
    """Return the last hidden state of each seed at its time, (seeds, hidden)."""
    return _run(model, store, label, rows, times, settings, model.states)


def _run(
    model: Sage, store: Store, label: str, rows: NDArray[np.int64], times: NDArray[np.int64], settings: SageSettings,
    ask: Callable[[Any], torch.Tensor],
) -> NDArray[np.float64]:  # fmt: skip
    model.eval()
    sampler, found, device = _sampler(store, settings, settings.seed), [], next(model.parameters()).device
    for start in range(0, len(rows), 2 * settings.batch):
        part = slice(start, start + 2 * settings.batch)
        inputs = from_batch(store, sampler.sample(label, rows[part], times[part])).to(device)
        found.append(ask(inputs).double().cpu().numpy())
    return np.concatenate(found) if found else np.empty(0)


def _sampler(store: Store, settings: SageSettings, seed: int) -> TemporalSampler:
    return TemporalSampler(store, list(settings.fanouts), half_life_days=settings.half_life_days, seed=seed)


def _surroundings(store: Store, label: str, learn: Examples, settings: SageSettings) -> dict[str, torch.Tensor]:
    """Return inputs of the nodes around some training seeds: what standardization may look at."""
    some = np.random.default_rng(settings.seed).permutation(len(learn))[:_STANDARD]
    batch = _sampler(store, settings, settings.seed).sample(label, learn.rows[some], learn.times[some])
    return {name: node_inputs(store, name, nodes.rows, nodes.times) for name, nodes in batch.nodes.items()}


def _about(store: Store, label: str, settings: SageSettings, learn: Examples, check: Examples) -> dict[str, Any]:
    return {
        "schema": store.schema_digest(), "data": str(store.about.get("digest")), "label": label,
        "settings": settings.model_dump_json(), "seeds": [_digest(learn), _digest(check)],
    }  # fmt: skip


def _digest(examples: Examples) -> str:
    whole = b"".join(np.ascontiguousarray(part).tobytes() for part in (examples.rows, examples.times, examples.labels))
    return hashlib.sha256(whole).hexdigest()[:16]


_WORDS = {
    "schema": "labels, features or relations", "data": "store", "label": "label", "settings": "settings",
    "seeds": "windows",
}  # fmt: skip


def _resumed(path: Path, about: dict[str, Any]) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        raise CheckpointError(f"{path} cannot be read ({type(error).__name__}). Train without --resume.") from None
    differ = [words for name, words in _WORDS.items() if state.get(name) != about[name]]
    if differ:
        raise CheckpointError(
            f"{path} was made with other {', '.join(differ)}. Train without --resume, or with what it was made with."
        )
    return state


def _save(path: Path, state: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
