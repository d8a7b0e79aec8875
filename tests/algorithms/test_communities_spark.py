"""The Spark engine against the local one, and the check that catches wrong components."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pyspark.sql import DataFrame, SparkSession

from algorithms.communities.arrays import BadEdgesError, MethodMissingError, WrongComponentsError
from algorithms.communities.contraction import modularity
from algorithms.communities.edge_files import edge_table
from algorithms.communities.engine import LocalEngine
from algorithms.communities.spark_check import check_components
from algorithms.communities.spark_engine import SparkEngine

_CLASS = "org.graphframes.GraphFrame"


@pytest.fixture(scope="module")
def engine(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> SparkEngine:
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    try:
        jvm.java.lang.Class.forName(_CLASS, False, jvm.java.lang.Thread.currentThread().getContextClassLoader())
    except Exception:
        pytest.skip("the session of the tests has no jar set graphframes")
    return SparkEngine(spark, tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="module")
def edges() -> pl.DataFrame:
    """Five groups of text ids, some joined, with loops and duplicates; one node has a loop only."""
    rng = np.random.default_rng(5)
    src = rng.integers(0, 60, 260)
    dst = np.where(rng.random(260) < 0.93, src // 12 * 12 + rng.integers(0, 12, 260), rng.integers(0, 36, 260))
    pairs = [(f"n{a}", f"n{b}") for a, b in zip(src.tolist(), dst.tolist(), strict=True)]
    return pl.DataFrame([*pairs, ("lonely", "lonely")], schema=["src", "dst"], orient="row")


NODES = pl.DataFrame({"id": ["isolated"]})


def _spark(spark: SparkSession, frame: pl.DataFrame) -> DataFrame:
    return spark.createDataFrame(frame.rows(), frame.columns)


def _local(frame: DataFrame) -> pl.DataFrame:
    return pl.DataFrame([tuple(row) for row in frame.collect()], schema=frame.columns, orient="row").sort(frame.columns)


def test_components_are_the_same_on_both_engines(spark: SparkSession, engine: SparkEngine, edges: pl.DataFrame) -> None:
    found = _local(engine.components(_spark(spark, edges), _spark(spark, NODES)))
    assert_frame_equal(found, LocalEngine().components(edges, NODES), check_dtypes=False)


def test_label_propagation_is_the_same_on_both_engines(
    spark: SparkSession, engine: SparkEngine, edges: pl.DataFrame
) -> None:
    found = _local(engine.communities(_spark(spark, edges), _spark(spark, NODES), method="label-propagation"))
    expected = LocalEngine().communities(edges, NODES, method="label-propagation")
    assert_frame_equal(found, expected, check_dtypes=False)
    graph = edge_table(edges, NODES).graph()
    ours, theirs = (modularity(graph, f["community"].to_numpy().astype(np.uint32)) for f in (expected, found))
    assert theirs == pytest.approx(ours, rel=0.01)


def test_core_numbers_triangles_and_pagerank_are_the_same_on_both_engines(
    spark: SparkSession, engine: SparkEngine, edges: pl.DataFrame
) -> None:
    rows, named = _spark(spark, edges), _spark(spark, NODES)
    for method, tolerance in (("core_numbers", 0.0), ("triangles", 0.0), ("pagerank", 1e-3)):
        found = _local(getattr(engine, method)(rows, named))
        expected = getattr(LocalEngine(), method)(edges, NODES)
        assert_frame_equal(found, expected, check_dtypes=False, abs_tol=tolerance / 10, rel_tol=tolerance)


def test_neighborhoods_are_the_same_on_both_engines(
    spark: SparkSession, engine: SparkEngine, edges: pl.DataFrame
) -> None:
    pairs = pl.DataFrame({"a": ["n1", "n2", "n3", "n4", "gone"], "b": ["n2", "n5", "n40", "n6", "n1"]})
    found = _local(engine.neighborhoods(_spark(spark, edges), _spark(spark, pairs)))
    expected = LocalEngine().neighborhoods(edges, pairs).sort("a", "b")
    assert_frame_equal(found, expected, check_dtypes=False)


def test_what_the_spark_engine_lacks_is_said_with_what_to_use(spark: SparkSession, engine: SparkEngine) -> None:
    rows = spark.createDataFrame([("a", "b", 1.0)], ["src", "dst", "weight"])
    with pytest.raises(MethodMissingError, match="local engine"):
        engine.communities(rows, method="leiden")
    with pytest.raises(MethodMissingError, match="weights"):
        engine.pagerank(rows)
    with pytest.raises(BadEdgesError, match="1 weights"):
        engine.components(spark.createDataFrame([("a", "b", -1.0)], ["src", "dst", "weight"]))


TORN = {"a": "a", "b": "a", "c": "c", "d": "d"}
MERGED = {"a": "a", "b": "a", "c": "a", "d": "a"}
LOST = {"a": "a", "b": "a", "c": "a"}


@pytest.mark.parametrize(
    ("components", "sentence"),
    [(TORN, "2 edges join two"), (MERGED, "make 2 components; 1 came"), (LOST, "4 ids need")],
)
def test_wrong_components_are_refused(spark: SparkSession, components: dict[str, str], sentence: str) -> None:
    ids = spark.createDataFrame([(one,) for one in "abcd"], ["id"])
    edges = spark.createDataFrame([("a", "b"), ("b", "c"), ("a", "c")], ["src", "dst"])
    right = spark.createDataFrame([("a", "a"), ("b", "a"), ("c", "a"), ("d", "d")], ["id", "component"])
    check_components(right, ids, edges)
    with pytest.raises(WrongComponentsError, match=sentence):
        check_components(spark.createDataFrame(list(components.items()), ["id", "component"]), ids, edges)
