"""One Spark session with Delta, from jars fetched at set-up; nothing is resolved at run time."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pyspark.sql import SparkSession
from rich.console import Console

from graph.jars import fetch
from graph.settings import PlatformSettings, SparkSettings


def spark_session(
    name: str,
    settings: SparkSettings,
    platform: PlatformSettings,
    jar_sets: tuple[str, ...] = ("spark",),
    more: Mapping[str, str] | None = None,
) -> SparkSession:
    """Return the process's session, started on first call (20–30 s).

    All times are UTC. Event logs and the web page are off: plans may name files.

    Args:
        more: Spark settings beside ours, or in their place.
    """
    jars = [str(jar) for jar_set in jar_sets for jar in fetch(jar_set, platform.cache)]
    local = settings.local_dir.absolute()
    local.mkdir(parents=True, exist_ok=True)
    # Workers use the interpreter that runs us, and one polars thread each: Spark already runs one task a core.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ["POLARS_MAX_THREADS"] = "1"
    os.environ["TZ"] = "UTC"
    os.environ.setdefault("SPARK_LOCAL_IP", settings.driver_host)
    ours = str(Path(__file__).parents[1])  # workers find our packages wherever the command was given
    paths = [ours, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path for path in paths if path))
    conf = {
        "spark.jars": ",".join(jars),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.driver.memory": settings.driver_memory,
        "spark.driver.host": settings.driver_host,
        "spark.driver.bindAddress": settings.driver_host,
        "spark.local.dir": str(local),
        "spark.sql.warehouse.dir": str(local / "warehouse"),
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties')} "
        f"-Duser.timezone=UTC -Dderby.system.home={local} -Djava.io.tmpdir={local}",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(settings.shuffle_partitions),
        # Rows that lie together by a person are not moved to be joined by person and phone.
        "spark.sql.requireAllClusterKeysForCoPartition": "false",
        "spark.sql.inMemoryColumnarStorage.compressed": "false",  # keys look drawn: to compress them takes a third more
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.io.compression.codec": "lz4",
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.databricks.delta.properties.defaults.checkpoint.writeStatsAsStruct": "true",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "50000",
        "spark.executorEnv.POLARS_MAX_THREADS": "1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.ui.explainMode": "simple",  # nobody reads plans, and writing them takes a tenth of a night
        "spark.sql.maxPlanStringLength": "0",
        "spark.python.worker.reuse": "true",
        "spark.log.level": "ERROR",
    }
    builder = SparkSession.builder.appName(name).master(settings.master)
    for key, value in (conf | dict(more or {})).items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


class SparkOnDemand:
    """The session when it is first called for; a night with nothing new never waits for one."""

    def __init__(self, name: str, console: Console):
        self._name, self._console = name, console
        self._session: SparkSession | None = None

    def __call__(self) -> SparkSession:
        """Return the session, started on the first call."""
        if self._session is None:
            with self._console.status("Spark starts"):
                self._session = spark_session(self._name, SparkSettings(), PlatformSettings())
        return self._session

    def stop(self) -> None:
        """Stop the session if there is one."""
        if self._session is not None:
            self._session.stop()
