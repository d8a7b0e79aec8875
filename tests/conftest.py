from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from neo4j import Driver

from graph.server import LocalServer, free_port
from graph.settings import Neo4jSettings, PlatformSettings


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
