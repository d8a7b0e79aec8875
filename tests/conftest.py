from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from neo4j import Driver
from pyspark.sql import SparkSession

from graph.server import LocalServer, free_port
from graph.settings import Neo4jSettings, PlatformSettings, SparkSettings
from graph.spark import spark_session

_MARKED_BY = {"spark": ("spark",), "neo4j": ("driver", "neo4j_server", "new_server")}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by what it waits for, so that `-m "not spark and not neo4j"` is quick."""
    for item in items:
        for marker, fixtures in _MARKED_BY.items():
            if not set(fixtures).isdisjoint(getattr(item, "fixturenames", ())):
                item.add_marker(marker)


# Plans of a few rows each: to compile them would take a third of the run. `make demo` and the benchmarks compile.
_INTERPRETED = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The one Spark session of the run; a test that takes it waits for it and is marked."""
    settings = SparkSettings(driver_memory="2g", local_dir=tmp_path_factory.mktemp("spark"))
    with pytest.MonkeyPatch.context() as patch:
        # Small tables, many plans: Java's second compiler would take longer than it saves.
        patch.setenv("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m")
        session = spark_session("tests", settings, PlatformSettings(), ("spark", "graphframes"), _INTERPRETED)
    yield session
    session.stop()


@pytest.fixture(scope="session")
def new_server() -> Callable[[Path], LocalServer]:
    """How a test gets a small server of its own: by a home, on a free port; nothing is started."""

    def make(home: Path) -> LocalServer:
        settings = Neo4jSettings(uri=None, home=home, port=free_port(), heap="512m", page_cache="64m")
        return LocalServer(settings, PlatformSettings().cache)

    return make


@pytest.fixture(scope="session")
def neo4j_server(
    new_server: Callable[[Path], LocalServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalServer]:
    """One real Neo4j for the run; take `driver` for an empty one."""
    server = new_server(tmp_path_factory.mktemp("neo4j"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def driver(neo4j_server: LocalServer) -> Iterator[Driver]:
    """A driver to a Neo4j without nodes; constraints of earlier tests stay."""
    neo4j_server.start()
    with neo4j_server.driver() as driver:
        driver.execute_query("MATCH (n) DETACH DELETE n")
        yield driver
