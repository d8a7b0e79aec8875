"""Mapping files: how a lender's own files fill the columns of the contract, as data and not as code.

The landing format itself is the mapping that changes nothing (`Mapping()`), so every file takes the same path.
The language is described in `docs/mappings.md`; a mapping is checked when it is read and again against the files.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import polars as pl
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ingest.lines import HeaderError, read_lines, split_header
from ingest.sources import SOURCES

_EPOCHS = ("epoch_s", "epoch_ms")
MAX_JOIN_BYTES = 512 << 20  # a joined file is held whole by every worker


class MappingError(Exception):
    """A mapping that cannot be used; the text names the key, what was found and what to change."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _reads_back(pattern: str) -> bool:
    moment = pl.Series([datetime(2024, 5, 17, 13, 45, tzinfo=UTC)], dtype=pl.Datetime("us", "UTC"))
    try:
        read = moment.dt.strftime(pattern).str.to_datetime(pattern, strict=False, time_unit="us")
    except (pl.exceptions.PolarsError, ValueError):
        return False
    return read.dt.date().to_list() == [moment[0].date()]


class Cell(_Model):
    """Where the value of one contract column comes from: a column, several joined, or a constant; then changed."""

    column: str | None = None
    columns: tuple[str, ...] = ()
    separator: str = ":"
    const: str | None = None
    values: dict[str, str] | None = None
    prefix: str = ""
    format: str | None = None
    zone: str | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Cell:
        if (self.column is not None) + bool(self.columns) + (self.const is not None) != 1:
            raise ValueError("needs exactly one of `column`, `columns`, `const`")
        if self.const is not None and (self.values is not None or self.prefix or self.format is not None):
            raise ValueError("`const` is taken as it is: no `values`, `prefix` or `format` beside it")
        if self.prefix and self.format is not None:
            raise ValueError("`prefix` makes an id and `format` a time: only one of them")
        return self

    @model_validator(mode="after")
    def _usable_time(self) -> Cell:
        if self.zone is not None:
            if self.format is None or self.format in _EPOCHS or self._has_offset:
                raise ValueError(
                    "`zone` needs a `format` of local times; ISO 8601 and %z carry their own zone, epochs are UTC"
                )
            try:
                ZoneInfo(self.zone)
            except (LookupError, OSError, ValueError):
                raise ValueError(f"`zone`: {self.zone!r} is no time zone; Asia/Shanghai is one") from None
        if self.format is not None and self.format not in _EPOCHS and not _reads_back(self.format):
            raise ValueError(
                f"`format`: {self.format!r} is no pattern that tells a day; use epoch_s, epoch_ms or such as %Y/%m/%d"
            )
        return self

    @property
    def _has_offset(self) -> bool:
        return re.search("%:?z", self.format or "") is not None

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns of the lender's file that this cell reads."""
        return (self.column,) if self.column is not None else self.columns

    def expression(self) -> pl.Expr:
        """Return the polars expression; a time that does not fit `format` stays as it is, to be refused later."""
        if self.const is not None:
            return pl.lit(self.const, pl.String)
        value = pl.concat_str([pl.col(name) for name in self.reads], separator=self.separator)
        if self.values is not None:
            value = value.replace_strict(self.values, default=value)
        if self.prefix:
            value = pl.concat_str(pl.lit(self.prefix), value)
        if self.format in _EPOCHS:
            unit: Literal["s", "ms"] = "s" if self.format == "epoch_s" else "ms"
            moment = pl.from_epoch(value.cast(pl.Int64, strict=False), unit).dt.replace_time_zone("UTC")
        elif self.format is not None:
            moment = value.str.to_datetime(self.format, strict=False, time_unit="us", ambiguous="earliest")
            if not self._has_offset:
                moment = moment.dt.replace_time_zone(self.zone or "UTC", ambiguous="earliest", non_existent="null")
            moment = moment.dt.convert_time_zone("UTC")
        else:
            return value
        return pl.coalesce(moment.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"), value)


def _as_cell(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


class Where(_Model):
    """Keeps the rows whose `column` is one of `in`."""

    column: str
    values: tuple[str, ...] = Field(alias="in")


class Join(_Model):
    """Adds the columns of another file, named `<name>.<column>`, by its unique `key` equal to our column `on`."""

    name: str
    file: str
    on: str
    key: str
    delimiter: str = ","
    where: tuple[Where, ...] = ()


class Entry(_Model):
    """One file pattern that fills (part of) one source. One file may stand in several entries."""

    pattern: str
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    columns: dict[str, Annotated[Cell, BeforeValidator(_as_cell)]] = {}
    joins: tuple[Join, ...] = ()
    where: tuple[Where, ...] = ()

    @model_validator(mode="after")
    def _own_join_names(self) -> Entry:
        names = [join.name for join in self.joins]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"joins: the name {twice[0]!r} stands twice; each join needs its own")
        if self.joins and not self.columns:
            raise ValueError("joins: nothing reads them without `columns`")
        return self

    def uses(self) -> dict[str, str]:
        """Return every column read, the file's own and `<join>.<column>`, with the mapping key that reads it."""
        found: dict[str, str] = {}
        for number, rule in enumerate(self.where):
            found.setdefault(rule.column, f"where[{number}].column")
        for number, join in enumerate(self.joins):
            found.setdefault(join.on, f"joins[{number}].on")
        for column, cell in self.columns.items():
            for name in cell.reads:
                found.setdefault(name, f"columns.{column}")
        return found

    def reads(self) -> set[str]:
        """Columns that must stand in the file itself, joined ones left out."""
        joined = tuple(f"{join.name}." for join in self.joins)
        return {name for name in self.uses() if not joined or not name.startswith(joined)}


class Mapping(_Model):
    """A whole mapping file. Without `sources` it is the landing format itself."""

    name: str = "landing"
    deliveries: dict[date, str] = {}
    sources: dict[str, tuple[Entry, ...]] = {}

    @model_validator(mode="after")
    def _known_names(self) -> Mapping:
        for source, entries in self.sources.items():
            if source not in SOURCES:
                raise ValueError(f"sources.{source}: no such source; there are {', '.join(SOURCES)}")
            for number, entry in enumerate(entries):
                if unknown := set(entry.columns) - set(SOURCES[source].columns):
                    raise ValueError(
                        f"sources.{source}[{number}].columns: {source} has no {sorted(unknown)}; "
                        f"it has {', '.join(SOURCES[source].columns)}"
                    )
                deletes = entry.columns.get("op", Cell(const="upsert")).const == "delete"
                missing = [column for column in SOURCES[source].required if column not in entry.columns]
                if missing and entry.columns and not deletes:  # without columns: they bear the contract's names
                    raise ValueError(f"sources.{source}[{number}].columns: {missing} must be filled")
        return self

    def entry(self, source: str, number: int) -> Entry:
        """Return the entry, or the plain one that takes columns by their contract names."""
        return self.sources[source][number] if self.sources else Entry(pattern=f"{source}*")


def bundled() -> dict[str, Path]:
    """Return the mappings that come with the package, by name."""
    return {path.stem: path for path in sorted((Path(__file__).parent / "mappings").glob("*.yml"))}


def read_mapping(name_or_path: str | None) -> Mapping:
    """Return a bundled mapping by name, one read from a file, or the landing format for None.

    Raises:
        MappingError: no such mapping, no YAML, or a key the language does not have.
    """
    if name_or_path is None:
        return Mapping()
    path = bundled().get(name_or_path, Path(name_or_path))
    try:
        # Every scalar is text: `on`, `no`, 12 and 2022-11-29 mean what stands there, as in the files.
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except OSError:
        raise MappingError(f"No mapping {name_or_path!r}: name a file, or one of {', '.join(bundled())}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise MappingError(f"{path} is no YAML: {error}") from None
    try:
        return Mapping.model_validate(content)
    except ValidationError as error:
        found = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        )
        raise MappingError(f"{path} cannot be used: {found}") from None


def apply(entry: Entry, frame: pl.DataFrame, joined: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Return `frame` with contract columns in place of the lender's and `line`, without the rows `where` leaves out.

    Args:
        entry: how to fill the columns; without columns, they bear the contract's names already.
        frame: strings, with `line`.
        joined: for each join its rows, from `read_join`.

    Raises:
        MappingError: a column that the entry reads is neither in the file nor in a joined one.
    """
    for join in entry.joins:
        frame = frame.join(
            joined[join.name], left_on=join.on, right_on=f"{join.name}.{join.key}", how="left",
            maintain_order="left", coalesce=False,
        )  # fmt: skip
    for column, key in entry.uses().items():
        if column not in frame.columns:
            raise MappingError(f"{key} reads {column!r}, which is not there; there are {_listed(frame.columns)}.")
    for rule in entry.where:
        frame = frame.filter(pl.col(rule.column).is_in(list(rule.values)))
    if not entry.columns:
        return frame
    return frame.select("line", **{name: cell.expression() for name, cell in entry.columns.items()})


def _listed(names: list[str]) -> str:
    return ", ".join(name for name in names if name != "line")


def read_join(join: Join, folder: Path) -> pl.DataFrame:
    """Return the joined file's rows, its columns named `<name>.<column>`.

    Raises:
        MappingError: the file is missing, too large, broken, or its key is not unique.
    """
    path = folder / join.file
    where = f"join {join.name!r}"
    if not path.is_file():
        raise MappingError(f"{where} needs {join.file}, and the delivery has no such file.")
    if path.stat().st_size > MAX_JOIN_BYTES:
        raise MappingError(
            f"{where}: {join.file} is beyond {MAX_JOIN_BYTES >> 20} MB; deliver the columns in one file."
        )
    header, _, body = path.read_bytes().partition(b"\n")
    try:
        names = split_header(header, join.delimiter)
    except HeaderError as error:
        raise MappingError(f"{where}: {join.file} has no usable header ({error.reason}).") from None
    if missing := {join.key, *(rule.column for rule in join.where)} - set(names):
        raise MappingError(f"{where}: {join.file} has no column {sorted(missing)[0]!r}; it has {_listed(names)}.")
    read = read_lines(body, names, join.delimiter, first_line=2)
    if read.rejects:
        first = read.rejects[0]
        raise MappingError(
            f"{where}: {join.file} has {len(read.rejects):,} unreadable lines, the first is line {first.line} "
            f"({first.reason}); rows would silently lose what it says."
        )
    rows = read.frame.drop("line").filter(pl.col(join.key).is_not_null())
    for rule in join.where:
        rows = rows.filter(pl.col(rule.column).is_in(list(rule.values)))
    if rows[join.key].is_duplicated().any():
        raise MappingError(
            f"{where}: {join.key} must be unique in {join.file}, and some values stand twice; add `where`."
        )
    return rows.rename({name: f"{join.name}.{name}" for name in names})
