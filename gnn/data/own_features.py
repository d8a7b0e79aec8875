"""What an application says of itself, as first delivered: its node's features and edges, now and later."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from math import tau

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from algorithms.features.catalogue import KINDS
from gnn.data.intervals import Edges, Numbers, View, collected, islands, sliced
from gnn.data.store import NEVER, StoreError
from graph import as_of
from graph.lake import row_count
from graph.schema import Label

# Columns of `applications` that a form may leave empty.
OPTIONAL = (
    "id_number", "name", "gender", "birth_date", "phone", "device_id", "imei", "iccid", "ip", "wifi_bssid", "address",
    "employer", "employer_phone", "bank_card", "channel", "product", "amount_cny",
)  # fmt: skip
FEATURES: tuple[str, ...] = (
    "amount_log1p_cny", "applied_hour_sin", "applied_hour_cos", "applied_weekday", "blank_count", "age_years", "gender",
    *(f"{column}_blank" for column in OPTIONAL), "birth_year_blank",
)  # fmt: skip
_LABEL_OF_COLUMN = {
    "phone": Label.PHONE, "device_id": Label.DEVICE, "imei": Label.DEVICE, "iccid": Label.SIM,
    "bank_card": Label.BANK_CARD, "address": Label.ADDRESS, "employer": Label.COMPANY, "employer_phone": Label.PHONE,
    "ip": Label.NETWORK, "wifi_bssid": Label.NETWORK, "channel": Label.CHANNEL,
}  # fmt: skip
# What an application names: kind → column. `listed_by` is the own number again.
STATED: dict[str, str] = {k.name: k.column for k in KINDS if k.paired or k.name == "channel"}
_SAID = {"amount_cny": "double", "birth_year": "bigint", "gender": "string"}
_DAY_S = 86_400
_ROWS = 1_000_000  # that many at a time reach the driver
_MINE = str(Label.APPLICATION)
_EDGE = ("src", "dst", "since", "until")


class NoApplicationsError(StoreError):
    """The lake holds no application that was known at the moment; the text says what to run."""


def forms(view: View, stated: tuple[str, ...]) -> DataFrame | None:
    """Return each application known at the view's moment, as first delivered: what was decided on, key application_id.

    Columns `applicant_id`; `applied` (microseconds since 1970 UTC); `since` and `until`, from when others knew it and
    when it was deleted; the columns `stated`; and what `own_features` reads. With
    deliveries set aside it is the version that stands today. None: there is no such table. A column that the lake's
    table lacks is null.
    """
    rows = view.rows(view.lake.raw("applications"), "applied_at")
    if rows is None:
        return None
    lacking = {name for name in ("birth_year", *OPTIONAL, *stated) if name not in rows.columns}
    rows = rows.withColumns({name: F.lit(None).cast(_SAID.get(name, "string")) for name in sorted(lacking)})
    kept = {"applied": F.unix_micros("applied_at")}
    kept |= {name: F.col(name) for name in ("applicant_id", "since", *stated, *_SAID)}
    kept |= {f"{name}_blank": F.col(name).isNull() for name in OPTIONAL if name not in (*stated, *_SAID)}
    whole = F.struct(*(column.alias(name) for name, column in kept.items()))
    # A correction does not undo that it was stated; a delete does.
    first = rows.groupBy("application_id").agg(
        F.min_by(whole, "delivered_on").alias("_"), F.max("until").alias("until")
    )
    return first.select("application_id", "until", *(f"_.{name}" for name in kept))


def own_features(told: pl.DataFrame) -> NDArray[np.float32]:
    """Return `FEATURES` of the applications in `told` (rows of `forms`), float32 (rows, features).

    Hours and days of the week (0 Monday) are those of UTC+8. The age is the year of the application less the year of
    birth, which is all the lake keeps of it. Gender is −1 female, 1 male. What is unknown is 0 and its `_blank` is 1.
    """
    local = pl.col("applied") // 1_000_000 + 8 * 3600  # seconds, as clocks in China show them
    angle = (local % _DAY_S) * (tau / _DAY_S)
    day = pl.from_epoch(local, time_unit="s").dt
    blanks = {
        f"{name}_blank": pl.col(f"{name}_blank") if f"{name}_blank" in told.columns else pl.col(name).is_null()
        for name in (*OPTIONAL, "birth_year")
    }
    values: dict[str, pl.Expr] = {
        "amount_log1p_cny": pl.col("amount_cny").log1p(),
        "applied_hour_sin": angle.sin(),
        "applied_hour_cos": angle.cos(),
        "applied_weekday": day.weekday() - 1,
        "blank_count": pl.sum_horizontal(blanks[f"{name}_blank"].cast(pl.Int64) for name in OPTIONAL),
        "age_years": day.year() - pl.col("birth_year"),
        "gender": pl.col("gender").replace_strict({"female": -1.0, "male": 1.0}, default=0.0, return_dtype=pl.Float64),
    } | blanks
    wide = told.select(values[name].cast(pl.Float32).fill_null(0.0).alias(name) for name in FEATURES)
    return np.ascontiguousarray(wide.to_numpy(), np.float32)


def unknown_features() -> NDArray[np.float32]:
    """Return `FEATURES` of an application that others name and nobody delivered, (1, features): everything blank."""
    types = dict.fromkeys(OPTIONAL, pl.String) | {"amount_cny": pl.Float64, "birth_year": pl.Int64, "applied": pl.Int64}
    blank = pl.DataFrame({name: [None] for name in types}, types)
    return own_features(blank)


@dataclass(frozen=True)
class Applications:
    """All applications: `rows` has `application_id`, `applicant_id`, `at`, `number`; `x` their features."""

    rows: pl.DataFrame
    x: NDArray[np.float32]
    edges: list[Edges]


def applications(view: View, numbers: Numbers, persons: pl.DataFrame) -> Applications:
    """Return all applications as first delivered, with what they state.

    Args:
        persons: `applicant_id`, `person_id`, `since`, `until`.

    Raises:
        NoApplicationsError: there are none.
    """
    found = forms(view, tuple(STATED.values()))
    if found is None:
        raise NoApplicationsError(
            f"A graph store needs applications, and the lake at {view.lake.root} holds none. Run a night that delivers "
            "`applications` first: python -m jobs nightly run --help."
        )
    slices = 1 + row_count(view.lake.raw("applications")) // _ROWS
    rows, x, edges = [], [], defaultdict[tuple[str, str, str], list[pl.DataFrame]](list)
    for told in map(collected, sliced(found, "application_id", slices)):
        mine = told.with_columns(pl.Series("number", numbers.of(_MINE, told["application_id"])))
        rows.append(mine.select("application_id", "applicant_id", "number", at="applied"))
        x.append(own_features(mine))
        for key, part in _states(numbers, mine, persons):
            edges[key].append(part)
    whole = pl.concat(rows)
    if not len(whole):
        raise NoApplicationsError(
            f"A graph store needs applications, and the lake at {view.lake.root} held none by {as_of.utc(view.at)}. "
            "Ask for a later time, or set delivery dates aside for a history that was delivered later."
        )
    return Applications(whole, np.concatenate(x), [Edges(*key, pl.concat(parts)) for key, parts in edges.items()])


def _states(
    numbers: Numbers, told: pl.DataFrame, persons: pl.DataFrame
) -> Iterator[tuple[tuple[str, str, str], pl.DataFrame]]:
    """Yield (name, src, dst) and the edges of what applications state, and of who states it once they are delivered."""
    for kind, column in STATED.items():
        label = str(_LABEL_OF_COLUMN[column])
        named = told.filter(pl.col(column).is_not_null())
        named = named.with_columns(pl.Series("thing", numbers.of(label, named[column])))
        yield (
            (f"STATES_{kind}", label, _MINE),
            named.select(src="thing", dst="number", since="applied", until=pl.lit(NEVER)).select(_EDGE),
        )
        yield (
            (f"rev_STATES_{kind}", _MINE, label),
            named.select("since", "until", src="number", dst="thing").select(_EDGE),
        )
    known = told.select("applicant_id", "number", "applied").join(persons, "applicant_id")
    known = known.with_columns(since=pl.max_horizontal("since", "applied")).filter(pl.col("since") < pl.col("until"))
    person = pl.Series("src", numbers.of(Label.PERSON, known["person_id"]))
    yield (
        ("STATES_person", str(Label.PERSON), _MINE),
        islands(known.select(person, "since", "until", dst="number")).select(_EDGE),
    )
