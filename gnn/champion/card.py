"""What a model predicted, and the card that says how the model was made.

Scores are in [0, 1], the higher the more suspicious. Labels are 1 fraud, 0 normal, -1 not known. Times are UTC.
"""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, model_validator

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]

PREDICTIONS = "predictions.parquet"
COLUMNS = ("application_id", "at", "label", "score")
_AT = pl.Datetime("us", "UTC")


class CardError(Exception):
    """Predictions or a card cannot be used; the text says what was needed, what was found, what to do."""


class Window(BaseModel):
    """From `since` (inclusive) until `until` (exclusive), both with a zone."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    since: AwareDatetime
    until: AwareDatetime

    @model_validator(mode="after")
    def _in_order(self) -> Window:
        if self.since >= self.until:
            raise ValueError(f"a window ends after it begins; this one is from {self.since} until {self.until}")
        return self


class Card(BaseModel):
    """How a model was made. `version` and `files` (path → SHA-256) are filled in when it is registered."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: str = ""
    kind: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    made_at: AwareDatetime
    features: tuple[str, ...]
    schema_digest: str
    data_digest: str = Field(pattern=r"^[0-9a-f]{8,64}$")
    training: Window
    validation: Window
    test: Window
    hyperparameters: dict[str, JsonValue]
    metrics: dict[str, JsonValue]
    seeds: tuple[int, ...]
    libraries: dict[str, str]
    files: dict[str, str] = Field(default_factory=dict)

    @property
    def learned_until(self) -> datetime:
        """Return the end (exclusive) of all the model has seen: its training and its validation window."""
        return max(self.training.until, self.validation.until)


def library_versions(names: Iterable[str] = ("numpy", "polars", "scikit-learn", "scipy", "torch")) -> dict[str, str]:
    """Return the installed version by distribution; one that is not installed is left out."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class Predictions:
    """What one model said of the applications of a window.

    Attributes:
        version: the model, as sentences name it.
        rows: `application_id` (key, ascending), `at` (UTC), `label` (1, 0, -1), `score`, and `person_id` or null.
        learned_until: the end (exclusive) of what the model was trained and validated on, or None: it never learned.
    """

    version: str
    rows: pl.DataFrame
    learned_until: datetime | None = None

    @staticmethod
    def of(rows: pl.DataFrame, version: str, learned_until: datetime | None = None) -> Predictions:
        """Return the predictions in `rows`, whatever their order; further columns are dropped.

        A label of null is one not known. `at` may be whole microseconds since 1970 UTC; a time without a zone is UTC.
        A score that is not a number is kept: the gate refuses it by name.

        Raises:
            CardError: a column is missing, an id is missing or comes twice, a time is missing, or a label is another.
        """
        missing = sorted({*COLUMNS} - {*rows.columns})
        if missing:
            raise CardError(
                f"The predictions of {version} need the columns {', '.join(COLUMNS)}; {', '.join(missing)} are missing "
                f"among {', '.join(rows.columns)}. Write them with those names."
            )
        at = pl.col("at").cast(pl.Datetime("us")) if rows.schema["at"].is_integer() else pl.col("at")
        zoned = getattr(rows.schema["at"], "time_zone", None) is not None
        at = at.dt.convert_time_zone("UTC") if zoned else at.dt.replace_time_zone("UTC")
        person = pl.col("person_id") if "person_id" in rows.columns else pl.lit(None)
        whole = rows.select(
            pl.col("application_id").cast(pl.String), at.cast(_AT), pl.col("label").fill_null(-1).cast(pl.Int8),
            pl.col("score").cast(pl.Float64).fill_null(math.nan), person.cast(pl.String).alias("person_id"),
        ).sort("application_id")  # fmt: skip
        ids = whole["application_id"]
        if ids.null_count() or whole["at"].null_count():
            raise CardError(f"The predictions of {version} hold rows without an application_id or a time. Drop them.")
        if len(twice := whole.filter(ids.is_duplicated())):
            raise CardError(
                f"The predictions of {version} need one row an application; {twice['application_id'][0]} and "
                f"{twice['application_id'].n_unique() - 1:,} others come more than once. Keep the last of each."
            )
        if len(strange := whole.filter(~pl.col("label").is_in([-1, 0, 1]))):
            raise CardError(
                f"The predictions of {version} need labels 1 (fraud), 0 (normal) or -1 (not known); "
                f"{strange['application_id'][0]} has {strange['label'][0]}."
            )
        return Predictions(version, whole, learned_until)

    @staticmethod
    def read(path: Path, version: str, learned_until: datetime | None = None) -> Predictions:
        """Return the predictions in a Parquet file.

        Raises:
            CardError: there is none, or see `of`.
        """
        if not path.is_file():
            raise CardError(f"The predictions of {version} were needed at {path} and are not there. Score the window.")
        return Predictions.of(pl.read_parquet(path), version, learned_until)

    def known(self) -> tuple[Labels, Floats]:
        """Return labels (int8, 0 or 1) and scores of the applications with a known label, by application_id."""
        rows = self.rows.filter(pl.col("label") >= 0)
        return rows["label"].to_numpy(), rows["score"].to_numpy()


def trained_files(trained: Path, card: Card) -> list[Path]:
    """Return the files of a trained model, relative to its folder: predictions, `model/…`, `plots/*.png`.

    Raises:
        CardError: there is no file under `model/`, one is a link, or the predictions cannot be read or are not of the
            card's test window.
    """
    rows = Predictions.read(trained / PREDICTIONS, f"the model in {trained}").rows
    outside = rows.filter(
        ~pl.col("at").is_between(card.test.since.astimezone(UTC), card.test.until.astimezone(UTC), "left")
    )
    if len(outside) or not len(rows):
        raise CardError(
            f"{trained / PREDICTIONS} must hold applications of the test window, from {card.test.since} until "
            f"{card.test.until}; {len(outside):,} of {len(rows):,} are not. Score the window of the card."
        )
    patterns = (PREDICTIONS, "model/**/*", "plots/*.png")
    paths = [path for pattern in patterns for path in sorted(trained.glob(pattern))]
    if links := [path for path in paths if path.is_symlink()]:
        raise CardError(f"{links[0]} is a link; a registered model needs files of its own. Copy the file there.")
    found = [path.relative_to(trained) for path in paths if not path.is_dir()]
    if not any(path.parts[0] == "model" for path in found):
        raise CardError(f"At least one file was needed in {trained / 'model'} and there is none. Save the model there.")
    return found
