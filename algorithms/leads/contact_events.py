"""Contact events in the neutral format: who called, wrote to or listed whom, and when."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

Kind = Literal["call", "message", "contact"]
KINDS: tuple[Kind, ...] = ("call", "message", "contact")
COLUMNS = ("src", "dst", "kind", "at", "duration_s")
UNDATED = 0.0
_LATEST = 1e11  # the year 5138; what lies beyond was written in milliseconds


class ContactEventsError(Exception):
    """Contact events that cannot be used; the text names what was needed, what was found and what to do."""


@dataclass(frozen=True)
class ContactEvents:
    """Events between numbered nodes, in the order of the file; loops are gone.

    Attributes:
        names: the id of each node, ascending; events name nodes by their place in it.
        src: int64 (E,).
        dst: int64 (E,).
        kind: int8 (E,), the place in `KINDS`.
        at: float64 (E,), epoch seconds; `UNDATED` (0) is known from the start.
        duration_s: float64 (E,), seconds; 0 where nothing was spoken or said.
        loops: rows dropped because both ends were one.
    """

    names: NDArray[np.str_]
    src: NDArray[np.int64]
    dst: NDArray[np.int64]
    kind: NDArray[np.int8]
    at: NDArray[np.float64]
    duration_s: NDArray[np.float64]
    loops: int = 0

    @property
    def n(self) -> int:
        """The number of nodes."""
        return len(self.names)

    def __len__(self) -> int:
        return len(self.src)

    @property
    def dated(self) -> NDArray[np.bool_]:
        """Which events have a time, bool (E,)."""
        return np.asarray(self.at != UNDATED)

    def of_kind(self, kind: Kind) -> NDArray[np.bool_]:
        """Return which events are of a kind, bool (E,)."""
        return np.asarray(self.kind == KINDS.index(kind))

    def where(self, mask: NDArray[np.bool_]) -> ContactEvents:
        """Return the events chosen by a mask (E,), with only the nodes they name, numbered anew.

        What was not chosen leaves no trace: neither a node nor its place among the others.
        """
        src, dst = self.src[mask], self.dst[mask]
        kept, places = np.unique(np.concatenate([src, dst]), return_inverse=True)
        return ContactEvents(
            self.names[kept], places[: len(src)].astype(np.int64), places[len(src) :].astype(np.int64),
            self.kind[mask], self.at[mask], self.duration_s[mask],
        )  # fmt: skip

    def before(self, cutoff: float) -> ContactEvents:
        """Return what was known strictly before a time in epoch seconds, undated events among it."""
        return self.where(self.at < cutoff)

    def since(self, cutoff: float) -> ContactEvents:
        """Return the dated events at or after a time in epoch seconds."""
        return self.where(self.dated & (self.at >= cutoff))

    def check_cutoff(self, cutoff: float) -> None:
        """Refuse a cutoff that leaves nothing to learn from or nothing to find.

        Raises:
            ContactEventsError: it is no finite number, at or before the first dated event, or after the last.
        """
        times = self.at[self.dated]
        if not len(times):
            raise ContactEventsError("No event has a time: `at` is 0 in every row; a cutoff needs dated events.")
        first, last = times.min(), times.max()
        if not np.isfinite(cutoff) or not first < cutoff <= last:
            raise ContactEventsError(
                f"--cutoff must lie after the first dated event ({first:.0f}) and not after the last ({last:.0f}), "
                f"in epoch seconds; {cutoff:g} was given."
            )


def read_events(path: Path) -> ContactEvents:
    """Return the events of a `.csv` or `.csv.gz` file with the columns src, dst, kind, at and duration_s.

    Raises:
        ContactEventsError: the file is missing, empty, lacks a column, or a row has an empty end, an unknown kind, or
            a time or duration that is no number or below 0.
    """
    frame = _frame(path)
    if missing := [c for c in COLUMNS if c not in frame.columns]:
        raise ContactEventsError(f"{path.name} lacks the columns {missing}; it has {frame.columns}.")
    if frame.height == 0:
        raise ContactEventsError(f"{path.name} has a header and no rows; needed: one row for each event.")
    frame = frame.select(pl.col(c).fill_null("").str.strip_chars() for c in COLUMNS)
    for end in ("src", "dst"):
        _refuse(path, frame, pl.col(end) == "", f"have no {end}")
    frame = frame.with_columns(pl.col("kind").str.to_lowercase())
    _refuse(path, frame, ~pl.col("kind").is_in(KINDS), f"are of a kind that is none of {', '.join(KINDS)}", "kind")
    number = pl.col("at").cast(pl.Float64, strict=False)
    bad = number.is_null() | ~number.is_finite()
    _refuse(path, frame, bad, "have a time that is no number (epoch seconds; 0 = undated)", "at")
    _refuse(path, frame, number < 0, "have a time below 0 (epoch seconds; 0 = undated)", "at")
    _refuse(path, frame, number > _LATEST, "have a time far in the future; epoch seconds are needed", "at")
    spoken = pl.when(pl.col("duration_s") == "").then(pl.lit("0")).otherwise("duration_s")
    length = spoken.cast(pl.Float64, strict=False)
    wrong = length.is_null() | ~length.is_finite() | (length < 0)
    _refuse(path, frame, wrong, "have a duration that is no number of seconds from 0", "duration_s")
    whole = frame.with_columns(at=number, duration_s=length)
    kept = whole.filter(pl.col("src") != pl.col("dst"))
    if kept.height == 0:
        raise ContactEventsError(f"{path.name} holds only loops: in all {whole.height:,} rows src is dst.")
    names, places = np.unique(np.concatenate([kept["src"].to_numpy(), kept["dst"].to_numpy()]), return_inverse=True)
    kind = kept["kind"].replace_strict({k: i for i, k in enumerate(KINDS)}, return_dtype=pl.Int8)
    return ContactEvents(
        names.astype(np.str_), places[: kept.height].astype(np.int64), places[kept.height :].astype(np.int64),
        kind.to_numpy().astype(np.int8), kept["at"].to_numpy().astype(np.float64),
        kept["duration_s"].to_numpy().astype(np.float64), whole.height - kept.height,
    )  # fmt: skip


def _frame(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise ContactEventsError(f"There is no file {path}; give a .csv file with {', '.join(COLUMNS)}.")
    if not path.name.lower().endswith((".csv", ".csv.gz")):
        raise ContactEventsError(f"{path.name} must end in .csv or .csv.gz; rename or convert it.")
    try:
        return pl.read_csv(path, infer_schema=False, glob=False)
    except pl.exceptions.NoDataError:
        raise ContactEventsError(f"{path.name} is empty; needed: a header and one row for each event.") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ContactEventsError(f"{path.name} cannot be read as CSV: {str(error).splitlines()[0][:200]}") from None


def _refuse(path: Path, frame: pl.DataFrame, bad: pl.Expr, says: str, column: str | None = None) -> None:
    found = frame.with_row_index("row").filter(bad)
    if found.height:
        shown = "" if column is None else f", such as {found[column].unique(maintain_order=True)[:3].to_list()}"
        raise ContactEventsError(
            f"{path.name}: {found.height:,} of {frame.height:,} rows {says}{shown}; the first is line "
            f"{found['row'][0] + 2:,}. Correct or drop them."
        )
