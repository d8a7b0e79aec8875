"""From when on something on the canvas is new: since the night before, or since the night seen at the last look."""

from __future__ import annotations

import datetime as dt
from pathlib import Path


def end_of(night: dt.date) -> dt.datetime:
    """Return the end of a night's day in UTC: what is seen at or after it, that night did not know."""
    return dt.datetime.combine(night + dt.timedelta(days=1), dt.time(), dt.UTC)


def night_before(report: Path, night: dt.date) -> dt.date:
    """Return the last night that ran before one, by the table `night_report`; the day before where none is known."""
    import polars as pl
    from deltalake.exceptions import DeltaError

    try:
        nights = pl.read_delta(str(report), columns=["night"])["night"].unique()
    except (DeltaError, OSError):
        return night - dt.timedelta(days=1)
    earlier = [one for one in nights if one is not None and one < night]
    return max(earlier, default=night - dt.timedelta(days=1))
