"""The same layers as jobs on Spark, for a cluster: states are tables, neighbors come by a join on the node they leave.

The weights are broadcast. Each relation's messages are averaged by the node they end in, in one sorted pass; what all
relations bring is added up by node; then the layer is applied to Arrow batches.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from functools import reduce
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from gnn.data.store import Store
from gnn.sampling.temporal import NO_TIME

_STATE = "row long, state array<float>"
_SAID = "dst long, said array<float>"
_NODES = 50_000  # rows of a written file
_Sums = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, bool]


class NotOnSparkError(ValueError):
    """A model that these jobs cannot run; the text says which can."""


def score_all(model: Any, spark: SparkSession, store: Store, scratch: Path, time: int = NO_TIME) -> DataFrame:
    """Return row and logit of every node of the model's label as of `time` (inclusive, microseconds).

    The same as `gnn.inference.layerwise.score_all`, to 1e-4.

    Args:
        model: a `gnn.models.sage.Sage` that aggregates by the mean.
        scratch: a folder all executors reach; inputs and states are written there. Replaced.

    Raises:
        NotOnSparkError: the model attends.
    """
    from gnn.inference.layerwise import wanted_labels

    if model.told["aggregation"] != "mean":
        raise NotOnSparkError("Only models that aggregate by the mean run on Spark; score this one on one machine.")
    shutil.rmtree(scratch, ignore_errors=True)
    weights = spark.sparkContext.broadcast(_weights(model))
    wanted = wanted_labels(model)
    h = {name: _entered(spark, weights, store, name, time, scratch / f"0-{name}") for name in sorted(wanted[0])}
    edges = {i: _edges(spark, store, i, time, scratch / f"edges-{i}") for i in range(len(store.relations))}
    for number in range(len(model.layers)):
        after = {}
        for name in sorted(wanted[number + 1]):
            of = [i for i, rel in enumerate(store.relations) if rel.dst == name and edges[i] is not None]
            said = [_said(h[store.relations[i].src], edges[i], weights, number, i) for i in of]
            state = _next(h[name], said, weights, number, name)
            path = str(scratch / f"{number + 1}-{name}")
            state.write.parquet(path)
            after[name] = spark.read.parquet(path)
        h = after
    return h[model.label].mapInArrow(_leaving(weights), "row long, logit float")


def _weights(model: Any) -> bytes:
    import torch

    buffer = BytesIO()
    torch.save({"told": model.told, "state": model.state_dict()}, buffer)
    return buffer.getvalue()


_LOADED: dict[str, Any] = {}


def _model(weights: Any) -> Any:
    """Return the model in a worker, read once."""
    key = hashlib.sha256(weights.value).hexdigest()
    if key not in _LOADED:
        import torch

        from gnn.models.sage import Sage

        torch.set_num_threads(1)
        told = torch.load(BytesIO(weights.value), weights_only=True)
        model = Sage(**told["told"])
        model.load_state_dict(told["state"])
        _LOADED[key] = model.eval()
    return _LOADED[key]


def _entered(spark: SparkSession, weights: Any, store: Store, name: str, time: int, folder: Path) -> DataFrame:
    """Write the inputs of a label's nodes, and return their first states."""
    from gnn.models.inputs import node_inputs

    folder.mkdir(parents=True)
    count = store.nodes[name].count
    for start in range(0, max(count, 1), _NODES):
        rows = np.arange(start, min(start + _NODES, count))
        x = node_inputs(store, name, rows, np.full(len(rows), time)).numpy()
        pl.DataFrame({"row": rows, "x": x}).with_columns(pl.col("x").cast(pl.List(pl.Float32))).write_parquet(
            folder / f"{start}.parquet"
        )

    def entering(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        import torch

        model = _model(weights)
        for batch in batches:
            with torch.no_grad():
                state = model.entered(name, torch.from_numpy(_matrix(batch.column("x"))))
            yield _batch("row", batch.column("row"), "state", state.numpy())

    return spark.read.parquet(str(folder)).mapInArrow(entering, _STATE)


def _edges(spark: SparkSession, store: Store, number: int, time: int, folder: Path) -> DataFrame | None:
    """Write the edges of a relation that stand, and return src, dst, age (None: no date); None without any."""
    from gnn.models.inputs import ages_at, standing

    neighbor, offsets, since = standing(store.relations[number], time)
    if not len(neighbor):
        return None
    folder.mkdir(parents=True)
    ends = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    age = ages_at(since, time)
    ages = [None] * len(ends) if age is None else age.numpy().tolist()
    table = pl.DataFrame({"src": neighbor, "dst": ends, "age": pl.Series(ages, dtype=pl.List(pl.Float32))})
    table.write_parquet(folder / "part.parquet", row_group_size=1_000_000)
    return spark.read.parquet(str(folder))


def _said(states: DataFrame, edges: DataFrame | None, weights: Any, layer: int, relation: int) -> DataFrame:
    """Return what a relation brings to each node that it ends in: dst, said."""
    assert edges is not None

    def averaged(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        import torch

        module = _model(weights).layers[layer]
        src = module.relations[relation][0]
        for dst, total, aged, count, dated in _sums(batches, lambda x: module.norm[src](torch.from_numpy(x)).numpy()):
            with torch.no_grad():
                said = module.of_neighbors[relation](torch.from_numpy(total / count[:, None]))
                if dated:
                    said = said + module.of_age[relation](torch.from_numpy(aged / count[:, None]))
            yield _batch("dst", pa.array(dst), "said", said.numpy())

    met = edges.join(states, edges.src == states.row).select("dst", "state", "age")
    return met.repartition("dst").sortWithinPartitions("dst").mapInArrow(averaged, _SAID)


def _sums(batches: Iterable[pa.RecordBatch], norm: Any) -> Iterator[_Sums]:
    """Yield dst, summed normed states, summed ages, counts, of rows sorted by dst; each dst once."""
    import torch

    rest: _Sums | None = None
    for batch in batches:
        if not batch.num_rows:
            continue
        dst = batch.column("dst").to_numpy()
        with torch.no_grad():
            state = norm(_matrix(batch.column("state"))).astype(np.float32)
        dated = batch.column("age").null_count < batch.num_rows
        age = _matrix(batch.column("age")) if dated else np.zeros((len(dst), 1), np.float32)
        first = np.flatnonzero(np.r_[True, dst[1:] != dst[:-1]])
        part = (
            dst[first], np.add.reduceat(state, first), np.add.reduceat(age, first),
            np.diff(np.r_[first, len(dst)]).astype(np.float32), dated,
        )  # fmt: skip
        if rest is not None and rest[0][0] == part[0][0]:  # a node whose edges go on in this batch
            for mine, theirs in zip(part[1:4], rest[1:4], strict=True):
                mine[0] += theirs[0]
        elif rest is not None:
            yield rest
        rest = part[0][-1:], part[1][-1:], part[2][-1:], part[3][-1:], dated
        if len(part[0]) > 1:
            yield part[0][:-1], part[1][:-1], part[2][:-1], part[3][:-1], dated
    if rest is not None:
        yield rest


def _next(states: DataFrame, said: list[DataFrame], weights: Any, layer: int, name: str) -> DataFrame:
    """Return the next state of each node of a label."""
    together = states.selectExpr("row", "state", "cast(null as array<float>) AS said")
    brought = [s.selectExpr("dst AS row", "cast(null as array<float>) AS state", "said") for s in said]
    every = reduce(lambda a, b: a.unionByName(b), brought, together)

    def stepping(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        import torch

        module = _model(weights).layers[layer]
        for rows, state, told in _joined(batches):
            with torch.no_grad():
                own = torch.from_numpy(state)
                after = module.after(name, own, module.norm[name](own), [torch.from_numpy(told)])
            yield _batch("row", pa.array(rows), "state", after.numpy())

    return every.repartition("row").sortWithinPartitions("row").mapInArrow(stepping, _STATE)


def _joined(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield row, state and the sum of what was said, of rows sorted by row; each once."""
    held: pl.DataFrame | None = None
    for batch in batches:
        frame = pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch])))
        frame = frame if held is None else pl.concat([held, frame])
        last = frame["row"][-1] if len(frame) else None
        held = frame.filter(pl.col("row") == last)
        if len(done := frame.filter(pl.col("row") != last)):
            yield _added(done)
    if held is not None and len(held):
        yield _added(held)


def _added(frame: pl.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    own = frame.filter(pl.col("state").is_not_null())
    rows, state = own["row"].to_numpy(), np.array(own["state"].to_list(), np.float32)
    told = np.zeros_like(state)
    said = frame.filter(pl.col("said").is_not_null())
    if len(said):
        np.add.at(told, np.searchsorted(rows, said["row"].to_numpy()), np.array(said["said"].to_list(), np.float32))
    return rows, state, told


def _leaving(weights: Any) -> Any:
    def leave(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        import torch

        model = _model(weights)
        for batch in batches:
            with torch.no_grad():
                logit = model.leave(torch.from_numpy(_matrix(batch.column("state")))).squeeze(1)
            yield pa.RecordBatch.from_arrays([batch.column("row"), pa.array(logit.numpy())], ["row", "logit"])

    return leave


def _matrix(column: pa.Array) -> np.ndarray:
    flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    return np.array(flat.reshape(len(column), -1)) if len(column) else np.zeros((0, 1), np.float32)


def _batch(key: str, keys: pa.Array, name: str, values: np.ndarray) -> pa.RecordBatch:
    width = values.shape[1]
    offsets = pa.array(np.arange(0, values.size + 1, width, dtype=np.int32))
    lists = pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(values, np.float32).ravel()))
    return pa.RecordBatch.from_arrays([keys, lists], [key, name])
