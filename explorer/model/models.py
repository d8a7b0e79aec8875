"""The registry of models as a page reads it: champion, challengers, cards, plots, and whether all is as registered."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from graph.audit import Chain
from graph.model_registry import CARD, card_text, standing, walk

PLOTS = ("roc", "pr", "ks", "calibration")  # what a browser may ask for, by name
_DECISIONS = ("promoted", "refused")


class ModelMissingError(Exception):
    """No model of that version is registered."""


@dataclass(frozen=True)
class Models:
    """What the ledger says. Where the chain is broken nobody can say who is champion."""

    folder: Path
    lines: tuple[Mapping[str, Any], ...]
    chain: Chain

    @property
    def whole(self) -> bool:
        """Whether the ledger is as it was written."""
        return self.chain.first_broken_seq is None

    @cached_property
    def champion(self) -> str | None:
        """The model in place, or None."""
        return standing(self.lines) if self.whole else None

    @cached_property
    def versions(self) -> tuple[str, ...]:
        """The registered models, the newest first."""
        return tuple(line["version"] for line in reversed(self.lines) if line["what"] == "registered")

    def decision(self, version: str) -> Mapping[str, Any] | None:
        """Return the newest decision about a model, or None: it was never tried."""
        return next(
            (one for one in reversed(self.lines) if one["what"] in _DECISIONS and one["version"] == version), None
        )

    def card(self, version: str) -> Mapping[str, Any] | None:
        """Return a model's card; None where it is missing or not the one that was registered.

        Raises:
            ModelMissingError: no such model is registered.
        """
        try:
            text = card_text(self.folder, version, self.lines)
        except LookupError:
            raise ModelMissingError(version) from None
        return None if text is None else dict(json.loads(text))

    def plot(self, version: str, name: str) -> bytes | None:
        """Return a picture of a model; None where it has none or it is not the one that was registered.

        Raises:
            ModelMissingError: no such model is registered, or there are no pictures of that name.
        """
        if name not in PLOTS:
            raise ModelMissingError(name)
        card, path = self.card(version), f"plots/{name}.png"
        if card is None or path not in card["files"]:
            return None
        try:
            content = (self.folder / version / path).read_bytes()
        except OSError:
            return None
        return content if hashlib.sha256(content).hexdigest() == card["files"][path] else None

    def first_changed(self, version: str, card: Mapping[str, Any]) -> str | None:
        """Return the first file that is missing, changed or new since a model was registered; None if there is none."""
        folder = self.folder / version
        for name, digest in card["files"].items():
            path = folder / name
            if not path.is_file():
                return str(name)
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    return str(name)
        there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
        return min(there - {*card["files"], CARD}, default=None)


def read_models(folder: Path) -> Models:
    """Return what the ledger in a folder says; an empty one where there is no ledger."""
    lines, chain = walk(folder)
    return Models(folder, tuple(lines), chain)


def learned_until(card: Mapping[str, Any]) -> dt.datetime:
    """Return the end (exclusive) of all that a model has seen: its training and its validation window."""
    return max(dt.datetime.fromisoformat(card[window]["until"]) for window in ("training", "validation"))
