"""The Spark engine: GraphFrames where it has the method, frames of its own where not; for a cluster.

Edges and results are Spark frames with the meaning of `algorithms.communities.engine`. Louvain and Leiden are missing:
they move one node at a time, which a cluster cannot do without another result each time.
"""

from __future__ import annotations

from pathlib import Path

from graphframes import GraphFrame
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.types import IntegralType

from algorithms.communities.arrays import BadEdgesError, MethodMissingError
from algorithms.communities.propagation import STEPS
from algorithms.communities.spark_check import check_components

_MISSING = (
    "The spark engine has no {method}; use label-propagation or components, or the local engine, which takes 10⁸ edges "
    "in a few GB."
)


class SparkEngine:
    """GraphFrames on a session that has the jar sets `spark` and `graphframes`.

    Args:
        checkpoints: a folder all executors reach; GraphFrames cuts its plans there. It must outlive the run.
    """

    def __init__(self, spark: SparkSession, checkpoints: Path | str):
        self._spark = spark
        spark.sparkContext.setCheckpointDir(str(checkpoints))

    def components(self, edges: DataFrame, nodes: DataFrame | None = None) -> DataFrame:
        """Return id, component: the smallest id of the component, checked edge by edge.

        Raises:
            WrongComponentsError: an edge joins two components, or there are more or fewer than the edges make.
        """
        ids, simple = _undirected(edges, nodes)
        graph = GraphFrame(ids, simple.select("src", "dst"))
        found: DataFrame = graph.connectedComponents()
        smallest = found.groupBy("component").agg(F.min("id").alias("smallest"))
        table = found.join(smallest, "component").select("id", F.col("smallest").alias("component")).localCheckpoint()
        check_components(table, ids, simple)
        return table

    def communities(
        self,
        edges: DataFrame,
        nodes: DataFrame | None = None,
        *,
        method: str = "label-propagation",
        resolution: float = 1.0,
        seed: int = 0,
    ) -> DataFrame:
        """Return id, community: numbered from 0 by size, ties by the smallest id.

        Raises:
            MethodMissingError: for louvain and leiden.
        """
        if method == "components":
            labels = self.components(edges, nodes).withColumnRenamed("component", "label")
        elif method == "label-propagation":
            labels = self._propagated(*_undirected(edges, nodes))
        else:
            raise MethodMissingError(_MISSING.format(method=method))
        groups = labels.groupBy("label").agg(F.count("*").alias("size"), F.min("id").alias("first"))
        # One row a community: the one partition of this window is small.
        number = F.row_number().over(Window.orderBy(F.desc("size"), "first")) - 1
        return labels.join(groups.select("label", number.alias("community")), "label").select("id", "community")

    def pagerank(self, edges: DataFrame, nodes: DataFrame | None = None) -> DataFrame:
        """Return id, pagerank; they sum to 1.

        Raises:
            MethodMissingError: the edges have weights, which GraphFrames does not take.
        """
        if "weight" in edges.columns:
            raise MethodMissingError("GraphFrames' PageRank takes no weights; drop the column or use the local engine.")
        ids, simple = _undirected(edges, nodes)
        both = _directions(simple).select("src", "dst")
        ranked: DataFrame = GraphFrame(ids, both).pageRank(tol=1e-6).vertices.select("id", "pagerank").localCheckpoint()
        total = ranked.agg(F.sum("pagerank")).head()
        whole = total[0] if total and total[0] else 1.0
        return ranked.select("id", (F.col("pagerank") / whole).alias("pagerank"))

    def core_numbers(self, edges: DataFrame, nodes: DataFrame | None = None) -> DataFrame:
        """Return id, core; GraphFrames has no such method.

        Source: Lü, Zhou, Zhang, Stanley 2016, "The H-index of a network node and its relation to degree and coreness":
        each node takes the H-index of its neighbors' values, from the degrees on, until nothing changes.
        """
        ids, simple = _undirected(edges, nodes)
        both = _directions(simple).select("src", "dst").localCheckpoint()
        core = both.groupBy(F.col("src").alias("id")).agg(F.count("*").cast("int").alias("core")).localCheckpoint()
        while True:
            seen = both.join(core.select(F.col("id").alias("dst"), F.col("core").alias("other")), "dst")
            ranked = F.expr("transform(sort_array(collect_list(other), false), (x, i) -> least(x, i + 1))")
            after = seen.groupBy(F.col("src").alias("id")).agg(F.array_max(ranked).alias("core")).localCheckpoint()
            same = after.join(core.withColumnRenamed("core", "before"), "id").where("core <> before").isEmpty()
            core = after
            if same:
                return ids.join(core, "id", "left").na.fill(0, ["core"])

    def triangles(self, edges: DataFrame, nodes: DataFrame | None = None) -> DataFrame:
        """Return id, triangles."""
        ids, simple = _undirected(edges, nodes)
        counted: DataFrame = GraphFrame(ids, simple.select("src", "dst")).triangleCount()
        return counted.select("id", F.col("count").cast("long").alias("triangles"))

    def neighborhoods(self, edges: DataFrame, pairs: DataFrame) -> DataFrame:
        """Return a, b, common, jaccard, overlap for each given pair; an id without edges has no neighbors."""
        ids, simple = _undirected(edges, None)
        kind = dict(ids.dtypes)["id"]
        asked = pairs.select(F.col("a").cast(kind), F.col("b").cast(kind)).distinct().localCheckpoint()
        both = _directions(simple).select("src", "dst")
        rows = []
        for end in ("a", "b"):
            beside = both.select(F.col("src").alias(end), F.col("dst").alias("neighbor"))
            # The pair itself counts on neither side.
            rows.append(asked.join(beside, end).where("neighbor <> a and neighbor <> b").select("a", "b", "neighbor"))
        sides = rows[0].withColumn("side", F.lit(0)).unionByName(rows[1].withColumn("side", F.lit(1)))
        each = sides.groupBy("a", "b", "neighbor").agg(F.sum(1 - F.col("side")).alias("x"), F.sum("side").alias("y"))
        sums = each.groupBy("a", "b").agg(
            F.sum(F.least("x", "y")).alias("common"), F.sum("x").alias("first"), F.sum("y").alias("second")
        )
        table = asked.join(sums, ["a", "b"], "left").na.fill(0, ["common", "first", "second"])
        common = F.col("common")
        union, smaller = F.col("first") + F.col("second") - common, F.least("first", "second")
        return table.select(
            "a",
            "b",
            "common",
            (common / F.greatest(union, F.lit(1))).alias("jaccard"),
            (common / F.greatest(smaller, F.lit(1))).alias("overlap"),
        )

    def _propagated(self, ids: DataFrame, simple: DataFrame) -> DataFrame:
        """Return id, label by the rule of `algorithms.communities.propagation`, in turns by the checksum of the id."""
        both = _directions(simple).localCheckpoint()
        turn = (F.shiftright(F.crc32(F.col("id").cast("string")), 7) % 2 == 1).alias("turn")
        labels = ids.select("id", F.col("id").alias("label"), turn).localCheckpoint()
        still = 0
        for step in range(STEPS):
            seen = labels.select(F.col("id").alias("dst"), "label")
            sums = both.join(seen, "dst").groupBy(F.col("src").alias("id"), "label").agg(F.sum("weight").alias("total"))
            own = sums.join(labels.select("id", F.col("label").alias("mine")), "id")
            best = own.groupBy("id").agg(
                F.min(F.struct(-F.col("total"), "label"))["label"].alias("best"),
                F.max("total").alias("most"),
                F.max(F.when(F.col("label") == F.col("mine"), F.col("total"))).alias("own"),
            )
            moves = (F.col("turn") == F.lit(step % 2 == 0)) & (F.coalesce("own", F.lit(0.0)) < F.col("most"))
            after = (
                labels.join(best, "id", "left")
                .select("id", F.when(moves, F.col("best")).otherwise(F.col("label")).alias("label"), "turn")
                .localCheckpoint()
            )
            changed = after.join(labels.select("id", F.col("label").alias("before")), "id").where("label <> before")
            still = still + 1 if changed.isEmpty() else 0
            labels = after
            if still == 2:
                break
        return labels.select("id", "label")


def _undirected(edges: DataFrame, nodes: DataFrame | None) -> tuple[DataFrame, DataFrame]:
    """Return all ids once, and src < dst, weight once a pair without loops.

    Raises:
        BadEdgesError: a column is missing, an id is empty, or a weight is no number, negative or not finite.
    """
    if missing := [c for c in ("src", "dst") if c not in edges.columns]:
        raise BadEdgesError(f"The edges lack the columns {missing}; they have {edges.columns}.")
    whole = all(isinstance(edges.schema[c].dataType, IntegralType) for c in ("src", "dst"))
    whole = whole and (nodes is None or isinstance(nodes.schema["id"].dataType, IntegralType))
    kind = "long" if whole else "string"
    weight = F.expr("try_cast(weight as double)") if "weight" in edges.columns else F.lit(1.0)
    typed = edges.select(F.col("src").cast(kind), F.col("dst").cast(kind), weight.alias("weight"))
    parts = [typed.select(F.col(c).alias("id")) for c in ("src", "dst")]
    if nodes is not None:
        parts.append(nodes.select(F.col("id").cast(kind)))
    wrong: list[Column] = [F.count_if(_empty(c)).alias(c) for c in ("src", "dst")]
    refused = F.col("weight").isNull() | F.isnan("weight") | (F.col("weight") < 0) | (F.col("weight") == float("inf"))
    found = typed.agg(*wrong, F.count_if(refused).alias("weights")).head()
    assert found is not None
    if found["src"] or found["dst"]:
        raise BadEdgesError(f"{found['src']:,} rows lack a src and {found['dst']:,} a dst; fill or drop them.")
    if found["weights"]:
        raise BadEdgesError(f"{found['weights']:,} weights are negative, empty or not finite; correct or drop them.")
    ids = parts[0]
    for part in parts[1:]:
        ids = ids.unionByName(part)
    ids = ids.distinct().localCheckpoint()
    if nodes is not None and not ids.where(_empty("id")).isEmpty():
        raise BadEdgesError("The nodes have an empty id; fill or drop it.")
    simple = (
        typed.where("src <> dst")
        .select(F.least("src", "dst").alias("src"), F.greatest("src", "dst").alias("dst"), "weight")
        .groupBy("src", "dst")
        .agg(F.sum("weight").alias("weight"))
        .localCheckpoint()
    )
    return ids, simple


def _empty(name: str) -> Column:
    return F.col(name).isNull() | (F.col(name).cast("string") == "")


def _directions(simple: DataFrame) -> DataFrame:
    return simple.unionByName(simple.select(F.col("dst").alias("src"), F.col("src").alias("dst"), "weight"))
