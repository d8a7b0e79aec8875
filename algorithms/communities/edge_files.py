"""Edge and node tables from CSV or Parquet files and from frames, as numbers that stand for ids in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from algorithms.communities.arrays import BadEdgesError, Ids, checked
from algorithms.communities.csr import Batch, Csr, csr

_ROWS = 1 << 20
_NUMBER_TYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
_TEXT = (pl.String, pl.Categorical, pl.Enum, pl.Null)


@dataclass(frozen=True)
class EdgeTable:
    """Edges as numbers 0 … n - 1 in the order of their ids: integers by value, text by its UTF-8 bytes.

    `batches` returns the edges from the beginning at every call. `ids` is None where the numbers are the ids.
    """

    batches: Callable[[], Iterable[Batch]]
    n: int
    ids: pl.Series | None
    weighted: bool

    def graph(self) -> Csr:
        """Return the undirected graph: loops dropped, duplicates merged with their weights summed, absent weights 1."""
        return csr(self.batches, self.n)

    def named(self, numbers: Ids) -> pl.Series:
        """Return the ids that the numbers stand for."""
        return pl.Series("id", numbers) if self.ids is None else self.ids.gather(numbers).alias("id")

    def keyed(self, name: str, values: np.ndarray, *, values_are_nodes: bool = False) -> pl.DataFrame:
        """Return a table keyed by `id`, in the order of the ids, with one column of `values`.

        Args:
            values_are_nodes: the values are numbers of nodes, and their ids are wanted.
        """
        nodes = np.arange(self.n, dtype=np.uint32)
        column = self.named(values).alias(name) if values_are_nodes else pl.Series(name, values)
        return pl.DataFrame([self.named(nodes), column])


def read_frame(path: Path, needed: tuple[str, ...], optional: tuple[str, ...] = ()) -> pl.DataFrame:
    """Return the wanted columns of a `.csv`, `.csv.gz` or `.parquet` file; those of a CSV as text, exactly as written.

    Raises:
        BadEdgesError: the file is missing, of another kind, cannot be read, or lacks a column.
    """
    if not path.is_file():
        raise BadEdgesError(f"There is no file {path}; give a .csv, .csv.gz or .parquet file.")
    name = path.name.lower()
    if not name.endswith((".csv", ".csv.gz", ".parquet")):
        raise BadEdgesError(f"{path.name} must end in .csv, .csv.gz or .parquet; rename or convert it.")
    try:
        if name.endswith(".parquet"):
            columns = pq.read_schema(path).names
            frame = pl.read_parquet(path, columns=[c for c in (*needed, *optional) if c in columns])
        else:
            frame = pl.read_csv(path, infer_schema=False, empty_string_is_null=False, glob=False)
            columns = frame.columns
    except pl.exceptions.NoDataError:
        columns, frame = [], pl.DataFrame()
    except (pl.exceptions.PolarsError, pa.ArrowException, OSError) as error:
        raise BadEdgesError(f"{path.name} cannot be read as a table: {str(error).splitlines()[0][:200]}") from None
    if missing := [c for c in needed if c not in columns]:
        raise BadEdgesError(f"{path.name} lacks the columns {missing}; it has {columns}.")
    return frame.select(c for c in (*needed, *optional) if c in columns)


def read_edges(path: Path, nodes: Path | None = None) -> EdgeTable:
    """Return the edges of a file with columns src, dst and, if there, weight; `nodes` may name further ids.

    Integers of a Parquet file that number the nodes closely are taken as they are, batch by batch, so that the file may
    be larger than memory.

    Raises:
        BadEdgesError: what `read_frame` and `edge_table` refuse.
    """
    if nodes is None and path.name.lower().endswith(".parquet") and path.is_file():
        streamed = _streamed(path)
        if streamed is not None:
            return streamed
    further = None if nodes is None else read_frame(nodes, ("id",))
    return edge_table(read_frame(path, ("src", "dst"), ("weight",)), further)


def edge_table(edges: pl.DataFrame, nodes: pl.DataFrame | None = None) -> EdgeTable:
    """Return the edges of a frame with columns src, dst and, if there, weight; `nodes` (id) may name further ids.

    Ids are integers or text; where the columns differ, all are text.

    Raises:
        BadEdgesError: a column is missing, an id is empty, or a weight is no number, negative or not finite.
    """
    if missing := [c for c in ("src", "dst") if c not in edges.columns]:
        raise BadEdgesError(f"The edges lack the columns {missing}; they have {edges.columns}.")
    columns = [edges["src"], edges["dst"]]
    if nodes is not None:
        if "id" not in nodes.columns:
            raise BadEdgesError(f"The nodes lack the column id; they have {nodes.columns}.")
        columns.append(nodes["id"])
    columns = _alike(columns)
    for column, name in zip(columns, ("src", "dst", "id of the nodes"), strict=False):
        empty = column.null_count() + (int((column == "").sum()) if column.dtype == pl.String else 0)
        if empty:
            raise BadEdgesError(f"{empty:,} of {len(column):,} rows have an empty {name}; fill or drop them.")
    ids = pl.concat(columns).unique().sort()
    numbers = [_numbers(column, ids) for column in columns[:2]]
    weight = _weights(edges["weight"]) if "weight" in edges.columns else None
    src, dst, kept = checked(numbers[0], numbers[1], len(ids), weight)
    return EdgeTable(lambda: [(src, dst, kept)], len(ids), ids, kept is not None)


def _alike(columns: list[pl.Series]) -> list[pl.Series]:
    if all(column.dtype.is_integer() for column in columns):
        wide = pl.UInt64 if all(column.dtype.is_unsigned_integer() for column in columns) else pl.Int64
        return [column.cast(wide).rename("id") for column in columns]
    for column in columns:
        if not (column.dtype.is_integer() or column.dtype in _TEXT):
            raise BadEdgesError(f"Ids must be integers or text; a column holds {column.dtype}. Write it as text.")
    return [column.cast(pl.String).rename("id") for column in columns]


def _numbers(column: pl.Series, ids: pl.Series) -> Ids:
    if column.dtype == pl.String:
        known = pl.DataFrame({"id": ids}).with_row_index("number")
        found = column.to_frame("id").join(known, on="id", how="left", maintain_order="left")["number"]
        return found.to_numpy().astype(np.uint32)
    return np.searchsorted(ids.to_numpy(), column.to_numpy()).astype(np.uint32)


def _weights(column: pl.Series) -> np.ndarray:
    if column.dtype == pl.String:
        column = column.str.strip_chars()
    elif not (column.dtype.is_numeric() or column.dtype == pl.Null):
        raise BadEdgesError(f"weight must hold numbers; it holds {column.dtype}.")
    # What is no number becomes null, then NaN, and is counted with the refused.
    numbers = column.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    with np.errstate(over="ignore"):
        return numbers.astype(np.float32)


def _streamed(path: Path) -> EdgeTable | None:
    """Return the table of a Parquet file whose integers can be numbers as they are, or None."""
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError):
        return None
    schema, rows = file.schema_arrow, file.metadata.num_rows
    if not rows or any(str(schema.field(c).type) not in _NUMBER_TYPES for c in ("src", "dst") if c in schema.names):
        return None
    weighted = "weight" in schema.names
    if not {"src", "dst"} <= set(schema.names) or (weighted and not pa.types.is_floating(schema.field("weight").type)):
        return None
    most = 0
    present = np.zeros(1 << 16, np.bool_)
    for batch in file.iter_batches(_ROWS, columns=["src", "dst"]):
        for column in batch.columns:
            if column.null_count:
                return None
            ends = column.to_numpy()
            if not len(ends):
                continue
            most = max(most, int(ends.max()))
            if int(ends.min()) < 0 or most > 16 * rows + (1 << 20) or most >= 2**31 - 2:
                return None
            if most >= len(present):
                present = np.concatenate([present, np.zeros(max(most + 1, 2 * len(present)) - len(present), np.bool_)])
            present[ends] = True

    named = np.flatnonzero(present[: most + 1]).astype(np.uint32)
    n, gaps = len(named), len(named) <= most
    number = (np.cumsum(present[: most + 1]) - 1).astype(np.uint32) if gaps else named

    def batches() -> Iterator[Batch]:
        columns = ["src", "dst", "weight"] if weighted else ["src", "dst"]
        for batch in pq.ParquetFile(path).iter_batches(_ROWS, columns=columns):
            weight = batch["weight"].to_numpy(zero_copy_only=False) if weighted else None
            src, dst = batch["src"].to_numpy(), batch["dst"].to_numpy()
            yield checked(number[src], number[dst], n, weight) if gaps else checked(src, dst, n, weight)

    return EdgeTable(batches, n, pl.Series("id", named) if gaps else None, weighted)
