"""Strings of a landing file made typed and comparable, personal values made tokens: frame in, table out.

A bad value of a required column quarantines its row. A bad value of another column is set aside: the row is kept
without it, and the row's bytes go to the quarantine as a note, so that nothing is lost and nothing false is kept.
Values that are well formed and odd together (an applicant under 18, a call to oneself) are noted too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa

from graph.identifiers import birth_year, canonical, gender
from graph.schema import EDGE_BY_ENDS, LANDED_NODES, LANDED_RELATIONSHIPS, Label
from graph.tokens import LABEL_KIND, Keys, Kind
from ingest.lines import Lines, Reject
from ingest.sources import Field, Source
from ingest.tokenizing import TokenMemory

MAX_TEXT = 512
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LABELS = {name.lower(): str(node.label) for node in LANDED_NODES for name in (node.label, node.label.name)}
_ISO = (
    r"^(?<day>\d{4}-\d{2}-\d{2})"
    r"(?:[T ](?<time>\d{2}:\d{2})(?<second>:\d{2})?(?<fraction>\.\d+)?\s*(?<zone>Z|z|[+-]\d{2}:?\d{2})?)?$"
)
_TRUE, _FALSE = ["true", "1", "t", "yes", "y", "是"], ["false", "0", "f", "no", "n", "否"]

# Marks that show nothing on a screen (controls, bidi, zero width): an id with one is the same id to everybody.
_INVISIBLE = "[\u0080-\u009f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb]"
_GROUPED = r"^[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?$"  # 12,345.60 as spreadsheets write amounts
ADULT_YEARS = 18


@dataclass
class Cleaned:
    """`rows` typed, one for each accepted row; `rejects` of whole rows; `notes` on values set aside."""

    rows: pa.Table
    rejects: list[Reject]
    notes: list[Reject]


@dataclass
class _Column:
    """A typed column and, where a value was refused, the reason code (null elsewhere)."""

    value: pl.Series
    reason: pl.Series | None = None
    extra: dict[str, pl.Series] | None = None


class Cleaner:
    """Types and tokenizes frames; remembers the tokens of values already seen, and seals each new value once."""

    def __init__(self, keys: Keys):
        self.memory = TokenMemory(keys)

    def clean(self, source: Source, lines: Lines, frame: pl.DataFrame, delivered_on: date, source_file: str) -> Cleaned:
        """Return the typed rows of `frame` (strings by contract names, with `line`) and what was refused.

        Args:
            source: the contract of the rows.
            lines: where the rows' bytes are.
            frame: a column of the contract may be missing; it is null then, and its rows are refused if it is required.
            delivered_on: events later than the day after it are `in_future`.
            source_file: path inside the landing folder, kept beside each row.
        """
        frame = frame.with_columns(
            *(pl.lit(None, pl.String).alias(name) for name in source.columns if name not in frame.columns)
        )
        tokens = {field.name for field in source.fields if field.type == "token"}  # `canonical` cleans those
        texts = {name: _stripped(frame[name], marks=name not in tokens) for name in source.columns}
        op = texts["op"].str.to_lowercase().fill_null("upsert")
        deletes = op == "delete"
        reasons: list[tuple[Field, pl.Series]] = []
        columns: dict[str, pl.Series] = {}
        for field in source.fields:
            column = self._column(field, texts, source, delivered_on)
            columns[field.name] = column.value
            columns.update(column.extra or {})
            reason = (
                column.reason if column.reason is not None else pl.repeat(None, len(frame), dtype=pl.String, eager=True)
            )
            if field.required:
                missing = texts[field.name].is_null() & ~deletes
                reason = pl.select(pl.when(missing).then(pl.lit("missing_value")).otherwise(reason)).to_series()
            if reason.null_count() < len(reason):
                reasons.append((field, reason))
        remarks = _odd_together(source, columns)
        return self._split(source, lines, frame["line"], columns, reasons, remarks, op, delivered_on, source_file)

    def _column(self, field: Field, texts: dict[str, pl.Series], source: Source, delivered_on: date) -> _Column:
        text = texts[field.name]
        match field.type:
            case "token":
                assert field.kind is not None
                return self._tokens(field, text, field.kind)
            case "timestamp":
                dated = field.name == source.event_at
                return _moments(
                    text,
                    datetime.combine(delivered_on, datetime.min.time(), UTC) + timedelta(days=2) if dated else None,
                )
            case "cny" | "float" | "int":
                return _numbers(field, text)
            case "bool":
                return _booleans(text)
            case "choice":
                return _choices(text, field.choices)
            case "node_kind":
                value = text.str.to_lowercase().str.replace_all(r"[\s_]", "").replace_strict(_LABELS, default=None)
                return _Column(value, _reason(text.is_not_null() & value.is_null(), "unknown_kind"))
            case "node_id":
                return self._node_ids(text, texts[field.name.replace("_id", "_kind")])
            case _:
                text = _plain(text) if field.type == "id" else text
                long = text.str.len_bytes() > MAX_TEXT
                return _Column(text, _reason(long.fill_null(False), "too_long"))

    def _tokens(self, field: Field, text: pl.Series, kind: Kind) -> _Column:
        encoded = text.to_arrow().cast(pa.string()).dictionary_encode()
        values = encoded.dictionary.to_pylist()
        tokens, tags = self.memory.look_up(kind, values)
        value = _take(tokens, encoded.indices)
        reason = None
        refused = None in tokens
        if refused:
            why = [tag if token is None else None for token, tag in zip(tokens, tags, strict=True)]
            reason = _take(why, encoded.indices)
        extra: dict[str, pl.Series] = {}
        if field.tagged:
            extra[f"{field.name}_kind"] = _take(
                [tag if token else None for token, tag in zip(tokens, tags, strict=True)] if refused else tags,
                encoded.indices,
            )
        if field.derived:
            extra[field.derived] = _take(self.memory.wholes(kind, values), encoded.indices)
        if field.name == "id_number":
            canonicals = [self._canonical_id(raw) for raw in values]
            extra["birth_year"] = _take([birth_year(c) if c else None for c in canonicals], encoded.indices, pa.int64())
            extra["id_gender"] = _take([gender(c) if c else None for c in canonicals], encoded.indices)
            extra["id_birth"] = _take([c[6:14] if c else None for c in canonicals], encoded.indices)
        if field.name == "birth_date":
            days = [canonical(Kind.BIRTH_DATE, raw).value for raw in values]
            extra["said_birth"] = _take([day.replace("-", "") if day else None for day in days], encoded.indices)
        return _Column(value, reason, extra)

    @staticmethod
    def _canonical_id(raw: str) -> str | None:
        return canonical(Kind.ID_NUMBER, raw).value

    def _node_ids(self, text: pl.Series, kinds: pl.Series) -> _Column:
        text = _plain(text)
        values: list[str | None] = []
        reasons: list[str | None] = []
        for raw, name in zip(text.to_list(), kinds.to_list(), strict=True):
            label = _LABELS.get((name or "").lower().replace("_", "").replace(" ", ""))
            kind = LABEL_KIND.get(Label(label)) if label else None
            if raw is None or label is None:
                token, tag = None, None
            elif kind is None:
                token, tag = raw, None
            else:
                if label == Label.NETWORK and re.fullmatch(r"[0-9A-Fa-f]{1,2}([:-][0-9A-Fa-f]{1,2}){5}", raw):
                    kind = Kind.WIFI
                (token,), (tag,) = self.memory.look_up(kind, [raw], opaque=True)
            values.append(token)
            reasons.append(tag if raw is not None and token is None else None)
        return _Column(pl.Series(values, dtype=pl.String), pl.Series(reasons, dtype=pl.String))

    def _split(
        self, source: Source, lines: Lines, line: pl.Series, columns: dict[str, pl.Series],
        reasons: list[tuple[Field, pl.Series]], remarks: list[tuple[str, pl.Series]], op: pl.Series,
        delivered_on: date, source_file: str,
    ) -> Cleaned:  # fmt: skip
        rows = pl.DataFrame(columns)
        blame = pl.repeat(None, len(rows), dtype=pl.String, eager=True)
        column = blame.clone()
        checks = [(field.name, reason) for field, reason in reasons if field.required]
        checks += [("op", _reason(~op.is_in(["upsert", "delete"]), "not_in_list"))]
        if source.name == "relations":
            checks.append(("relation", _unknown_relation(rows, op == "delete")))
        for name, reason in checks:
            first = blame.is_null() & reason.is_not_null()
            blame, column = (
                blame.zip_with(~first, reason),
                column.zip_with(~first, pl.repeat(name, len(rows), eager=True)),
            )
        kept = blame.is_null()
        rejects = [
            Reject(n, why, lines.original(n), where)
            for n, why, where in zip(line.filter(~kept), blame.filter(~kept), column.filter(~kept), strict=True)
        ]
        notes = []
        for field, reason in reasons:
            if not field.required:
                aside = kept & reason.is_not_null()
                told = zip(line.filter(aside), reason.filter(aside), strict=True)
                notes += [Reject(n, why, lines.original(n), field.name) for n, why in told]
        for code, mask in remarks:
            notes += [Reject(n, code, lines.original(n)) for n in line.filter(kept & mask)]
        if "id_gender" in columns:
            rows = rows.with_columns(gender=pl.coalesce("id_gender", _gender())).drop("id_gender")
        if "lat" in columns:
            rows = rows.with_columns(
                pl.col("lat", "lon").round(2)
            )  # about a kilometer; the exact place is no one's business
        rows = rows.with_columns(
            op=op, delivered_on=pl.lit(delivered_on), source_file=pl.lit(source_file), line=line
        ).filter(kept)
        return Cleaned(rows.to_arrow().cast(row_schema(source)), rejects, notes)


def _gender() -> pl.Expr:
    lower = pl.col("gender").str.to_lowercase()
    return lower.replace_strict(
        {"m": "male", "male": "male", "男": "male", "f": "female", "female": "female", "女": "female"}, default=None
    )


def _odd_together(source: Source, columns: dict[str, pl.Series]) -> list[tuple[str, pl.Series]]:
    """Return (reason code, rows) for values that are well formed and odd together; no such row is refused.

    Of a number's interval that ends before it starts neither end is kept: one of them is false, and a wrong end would
    give a stranger's number to a former holder.
    """
    births = [columns.pop(name) for name in ("id_birth", "said_birth") if name in columns]
    found: list[tuple[str, pl.Series]] = []
    if births:
        birth = pl.select(pl.coalesce(*births)).to_series().str.to_date("%Y%m%d", strict=False)
        adult = birth.dt.offset_by(f"{ADULT_YEARS}y")
        found.append(("under_18", (adult > columns[source.event_at].dt.date()).fill_null(False)))
    if source.name == "phones":
        reversed_ = (columns["closed_at"] < columns["opened_at"]).fill_null(False)
        found.append(("interval_reversed", reversed_))
        if reversed_.any():
            columns.update({name: columns[name].set(reversed_, None) for name in ("opened_at", "closed_at")})
    if source.name == "calls":
        found.append(("joins_itself", (columns["phone"] == columns["other_phone"]).fill_null(False)))
    if source.name == "relations":
        same = (columns["from_id"] == columns["to_id"]) & (columns["from_kind"] == columns["to_kind"])
        found.append(("joins_itself", same.fill_null(False)))
    return found


def row_schema(source: Source) -> pa.Schema:
    """Return the columns of typed rows: the contract's, those derived beside them, and where the row came from.

    Derived, and no part of what the row says: phone kinds, `address_house`, `imei_batch`, `birth_year`.
    """
    types: dict[str, pa.DataType] = {
        "timestamp": pa.timestamp("us", "UTC"), "cny": pa.float64(), "float": pa.float64(),
        "int": pa.int64(), "bool": pa.bool_(),
    }  # fmt: skip
    columns: list[tuple[str, pa.DataType]] = []
    for field in source.fields:
        columns.append((field.name, types.get(field.type, pa.string())))
        if field.tagged:
            columns.append((f"{field.name}_kind", pa.string()))
        if field.derived:
            columns.append((field.derived, pa.string()))
        if field.name == "id_number":
            columns.append(("birth_year", pa.int64()))
    columns += [("op", pa.string()), ("delivered_on", pa.date32()), ("source_file", pa.string()), ("line", pa.int64())]
    return pa.schema(columns)


def _stripped(series: pl.Series, marks: bool) -> pl.Series:
    text = series.str.strip_chars()
    if marks and (text.str.len_bytes() != text.str.len_chars()).any():
        text = text.str.replace_all(_INVISIBLE, "").str.strip_chars()
    return text.set(text == "", None) if (text == "").any() else text


def _reason(mask: pl.Series, code: str) -> pl.Series:
    return pl.select(pl.when(mask).then(pl.lit(code)).otherwise(pl.lit(None, pl.String))).to_series()


def _take(values: list[Any], indices: pa.Array, dtype: pa.DataType | None = None) -> pl.Series:
    taken = pa.array(values, dtype or pa.string()).take(indices)
    return pl.Series(pl.from_arrow(taken))


def _plain(text: pl.Series) -> pl.Series:
    wide = text.str.len_bytes() != text.str.len_chars()
    return text.str.normalize("NFKC") if wide.any() else text


def _moments(text: pl.Series, future: datetime | None) -> _Column:
    """Parse ISO 8601; without a zone it is UTC, without a time midnight. Result: microseconds, UTC."""
    text = _plain(text)
    head = (
        text.str.slice(0, 19)
        .str.replace(" ", "T", literal=True)
        .str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False, time_unit="us")
    )
    tail = text.str.slice(19)
    minutes = tail.replace_strict(
        {zone: _offset(zone) for zone in tail.drop_nulls().unique().head(64)}, default=None, return_dtype=pl.Int64
    )
    value = (head - pl.Series(minutes * 60_000_000).cast(pl.Duration("us"))).dt.replace_time_zone("UTC")
    rest = value.is_null() & text.is_not_null()
    if rest.any():
        parts = text.filter(rest).str.extract_groups(_ISO).struct.unnest()
        zone = pl.col("zone").fill_null("+00:00").replace({"Z": "+00:00", "z": "+00:00"})
        iso = pl.concat_str(
            "day",
            pl.lit("T"),
            pl.col("time").fill_null("00:00"),
            pl.col("second").fill_null(":00"),
            pl.col("fraction").fill_null(".0"),
            zone.str.replace(r"^([+-]\d{2})(\d{2})$", "$1:$2"),
        )
        whole = parts.select(iso.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", strict=False, time_unit="us")).to_series()
        value = value.scatter(rest.arg_true(), whole)
    reason = _reason(text.is_not_null() & value.is_null(), "bad_time")
    early = (value < EPOCH).fill_null(False)
    reason = reason.zip_with(~early, _reason(early, "before_1970"))
    if future is not None:
        late = (value >= future).fill_null(False)
        reason = reason.zip_with(~late, _reason(late, "in_future"))
    return _Column(value.set(reason.is_not_null(), None) if reason.null_count() < len(reason) else value, reason)


def _offset(zone: str) -> int | None:
    match = re.fullmatch(r"([+-])(\d{2}):?(\d{2})", zone)
    if zone in ("", "Z", "z"):
        return 0
    return (int(match[2]) * 60 + int(match[3])) * (-1 if match[1] == "-" else 1) if match else None


def _numbers(field: Field, text: pl.Series) -> _Column:
    text = _plain(text)
    value = text.cast(pl.Float64, strict=False)
    if field.type == "cny" and value.null_count() > text.null_count():
        grouped = text.str.contains(_GROUPED).fill_null(False)
        plain = text.str.replace_all(",", "", literal=True).cast(pl.Float64, strict=False)
        value = value.zip_with(~grouped, plain)
    bad = text.is_not_null() & ~value.is_finite().fill_null(False)
    if field.type == "int":
        bad |= (value != value.floor()).fill_null(False)
    low = (value < field.minimum).fill_null(False) & ~bad if field.minimum is not None else None
    high = (value > field.maximum).fill_null(False) & ~bad if field.maximum is not None else None
    reason = _reason(bad, "not_a_number")
    for mask, code in ((low, "below_minimum"), (high, "above_maximum")):
        if mask is not None and mask.any():
            reason = reason.zip_with(~mask, _reason(mask, code))
    if reason.null_count() < len(reason):
        value = value.set(reason.is_not_null(), None)
    if field.type == "int":
        return _Column(value.cast(pl.Int64, strict=False), reason)
    return _Column(value.round(2) if field.type == "cny" else value, reason)


def _booleans(text: pl.Series) -> _Column:
    lower = text.str.to_lowercase()
    known = dict.fromkeys(_TRUE, True) | dict.fromkeys(_FALSE, False)
    value = lower.replace_strict(known, default=None, return_dtype=pl.Boolean)
    return _Column(value, _reason(text.is_not_null() & value.is_null(), "not_a_boolean"))


def _choices(text: pl.Series, choices: tuple[str, ...]) -> _Column:
    value = text.str.to_lowercase()
    bad = (~value.is_in(list(choices))).fill_null(False)
    return _Column(value.set(bad, None) if bad.any() else value, _reason(bad, "not_in_list"))


def _unknown_relation(rows: pl.DataFrame, deletes: pl.Series) -> pl.Series:
    relation = rows["relation"].str.to_uppercase()
    ends = pl.DataFrame({"relation": relation, "f": rows["from_kind"], "t": rows["to_kind"]}).rows()
    codes: list[str | None] = []
    for (name, src, dst), delete in zip(ends, deletes, strict=True):
        if delete or (name, src, dst) in EDGE_BY_ENDS:
            codes.append(None)
        else:
            codes.append("wrong_ends" if name in LANDED_RELATIONSHIPS else "unknown_relation")
    return pl.Series(codes, dtype=pl.String)
