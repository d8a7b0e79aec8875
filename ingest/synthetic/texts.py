"""Codes written out as text: phones in many spellings, identity numbers, cards, handsets, addresses, moments."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from ingest.synthetic.numbering import LANDLINE, Ints, id_digits, luhn
from ingest.synthetic.population import Block

_HEX = pl.Series([f"{i:02x}" for i in range(256)])
_FULL_WIDTH = {str(d): chr(0xFF10 + d) for d in range(10)}


def digits(values: Ints, width: int = 0, missing: int | None = -1) -> pl.Series:
    """Integers as text, padded with zeros to a width; `missing` becomes null."""
    series = pl.Series("v", values).cast(pl.String)
    series = series.str.zfill(width) if width else series
    return series if missing is None else blank(series, values == missing)


def moments(seconds: Ints) -> pl.Series:
    """ISO 8601 with +08:00; -1 becomes null."""
    texts = pl.from_epoch(pl.Series("t", seconds), time_unit="s").dt.strftime("%Y-%m-%dT%H:%M:%S+08:00")
    return blank(texts, seconds == -1)


def phone_texts(block: Block, codes: Ints) -> pl.Series:
    """Phones as text; a share of mobiles and all fixed lines in the spellings people use. Below 1 becomes null."""
    texts = blank(pl.Series("p", codes).cast(pl.String), codes < 1)
    style = block.rng.integers(0, 8, len(codes)).astype(np.int64)
    respelled = (block.rng.random(len(codes)) < block.settings.spelling_share) & (codes > 10**10)
    odd = np.flatnonzero((codes >= LANDLINE) | respelled)
    if not len(odd):
        return texts
    p, s = pl.col("p"), pl.col("s")
    head, middle, tail = p.str.slice(0, 3), p.str.slice(3, 4), p.str.slice(7, 4)
    mobile = (
        pl.when(s == 0).then("+86" + p)
        .when(s == 1).then("0086" + p)
        .when(s == 2).then(head + " " + middle + " " + tail)
        .when(s == 3).then(head + "-" + middle + "-" + tail)
        .when(s == 4).then(p.str.replace_many(_FULL_WIDTH))
        .when(s == 5).then("+86 " + head + " " + middle + " " + tail)
        .when(s == 6).then("86-" + p)
        .otherwise(" " + p)
    )  # fmt: skip
    fixed = codes[odd] >= LANDLINE
    area, rest = (codes[odd] - LANDLINE) // 10**8, codes[odd] % 10**8
    dash = pl.when(s < 5).then(pl.lit("-")).otherwise(pl.lit(""))
    line = pl.concat_str(pl.lit("0"), pl.col("a"), dash, pl.col("r").cast(pl.String).str.zfill(8))
    cells = pl.DataFrame({"p": texts.gather(odd), "s": style[odd], "f": fixed, "a": area, "r": rest})
    return texts.scatter(odd, cells.select(pl.when("f").then(line).otherwise(mobile).alias("v"))["v"])


def applicant_ids(block: Block, local: Ints) -> pl.Series:
    """Customer numbers of local people."""
    return "A" + digits(block.persons(local), 9, None)


def id_numbers(codes: Ints) -> pl.Series:
    """Eighteen-digit identity numbers with their check digit; -1 becomes null."""
    body, check = id_digits(np.maximum(codes, 0))
    text = digits(body, 0, None) + pl.Series([*map(str, range(10)), "X"]).gather(check)
    return blank(text, codes < 0)


def with_luhn(body: Ints, places: int) -> pl.Series:
    """So many digits and their Luhn digit. Negative becomes null."""
    whole = np.maximum(body, 0)
    text = digits(whole, places, None) + digits(luhn(whole, places), 0, None)
    return blank(text, body < 0)


def imei_texts(body: Ints) -> pl.Series:
    """Fifteen digits."""
    return with_luhn(body, 14)


def iccid_texts(body: Ints) -> pl.Series:
    """Twenty digits from 898600; negative becomes null."""
    # 8986 at places 15-18 adds a constant to the Luhn sum, so that int64 holds the rest.
    whole = np.maximum(body, 0)
    constant = np.full_like(whole, 8986)
    total = (10 - luhn(whole, 15)) % 10 + (10 - luhn(constant * 10, 5)) % 10
    text = "8986" + digits(whole, 15, None) + digits((10 - total % 10) % 10, 0, None)
    return blank(text, body < 0)


def device_ids(block: Block, slots: Ints) -> pl.Series:
    """The lender's own numbers of handset slots."""
    return "d" + pl.Series(block.numbers.opaque(slots, 3)).cast(pl.String).str.zfill(20)


def bssids(block: Block, index: Ints) -> pl.Series:
    """Hardware addresses of wireless networks."""
    bits = block.numbers.opaque(index, 5)
    octets = [_HEX.gather(((bits >> np.uint64(8 * i)) & np.uint64(255)).astype(np.int64)) for i in range(5)]
    text = "02:" + octets[0]  # 02: locally administered
    for octet in octets[1:]:
        text = text + ":" + octet
    return text


def ips(block: Block, index: Ints) -> pl.Series:
    """Network addresses of households and, below zero, of carriers' shared gateways."""
    bits = block.numbers.opaque(index, 4)
    parts = [((bits >> np.uint64(8 * i)) & np.uint64(255)).astype(np.int64) for i in range(3)]
    first = np.array([36, 39, 58, 59, 60, 61, 101, 106, 110, 111, 112, 113, 114, 115, 116, 117])[
        ((bits >> np.uint64(40)) & np.uint64(15)).astype(np.int64)
    ]
    return digits(first) + "." + digits(parts[0]) + "." + digits(parts[1]) + "." + digits(parts[2])


def named(codes: Ints, name: Callable[[int], str]) -> pl.Series:
    """Names of codes, each distinct code named once."""
    distinct, place = np.unique(codes, return_inverse=True)
    return pl.Series("n", [name(int(c)) for c in distinct], dtype=pl.String).gather(place)


def choice(words: Sequence[str], index: Ints) -> pl.Series:
    """Words picked by index."""
    return pl.Series("w", list(words)).gather(index)


def blank(series: pl.Series, where: npt.NDArray[np.bool_]) -> pl.Series:
    """The series with nulls where told."""
    return series.scatter(np.flatnonzero(where), None)


def money(values: npt.NDArray[np.float64]) -> pl.Series:
    """Amounts with two decimals."""
    cents = np.round(values * 100).astype(np.int64)
    return digits(cents // 100, 0, None) + "." + digits(cents % 100, 2, None)
