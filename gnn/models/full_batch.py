"""Training on a whole graph at once, for graphs that fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score
from torch.nn import functional

from gnn.models.inputs import Inputs
from gnn.models.sage import Sage

PATIENCE = 12  # looks at the validation part without a better one
_EVERY = 5  # epochs between two looks
_MOST = 400


def trained(
    model: Sage,
    inputs: Inputs,
    y: NDArray[np.int64],
    train: NDArray[np.bool_],
    validation: NDArray[np.bool_],
    *,
    seed: int = 0,
    learning_rate: float = 3e-3,
    told: Callable[[int, float, float], Any] | None = None,
) -> Sage:
    """Train a model until the validation part no longer gains, and return it as it was at its best.

    Args:
        y: 1, 0, or -1 for every node; only those of the two parts are looked at.
        told: is called with epoch, loss and validation AUC.
    """
    torch.manual_seed(seed)
    model.standardize(inputs.x)
    target, rows = torch.from_numpy(y).float(), torch.from_numpy(np.flatnonzero(train))
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=1e-2)
    best, kept, waited = -1.0, {}, 0
    for epoch in range(_MOST):
        model.train()
        optimizer.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(model(inputs)[rows], target[rows])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if epoch % _EVERY:
            continue
        scores = predicted(model, inputs)[validation]
        auc = float(roc_auc_score(y[validation], scores))
        if told is not None:
            told(epoch, float(loss), auc)
        quality = auc + float(average_precision_score(y[validation], scores))
        if quality > best:
            best, waited = quality, 0
            kept = {name: value.detach().clone() for name, value in model.state_dict().items()}
        else:
            waited += 1
            if waited > PATIENCE:
                break
    model.load_state_dict(kept)
    return model


@torch.no_grad()
def predicted(model: Sage, inputs: Inputs) -> NDArray[np.float64]:
    """Return the score in [0, 1] of every seed."""
    model.eval()
    return torch.sigmoid(model(inputs)).double().numpy()
