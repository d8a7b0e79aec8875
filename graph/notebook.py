"""py2neo for notebooks, and for them only: it is at its end of life, so the product uses the official driver.

It speaks Bolt 4.3 over `bolt://`; `run`, `match`, `to_data_frame` and the bulk helpers work, its schema helpers do not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graph.java import ServerError
from graph.server import LocalServer
from graph.settings import Neo4jSettings


def py2neo_graph(settings: Neo4jSettings, cache: Path) -> Any:
    """Return a `py2neo.Graph` on the server that `graph.server.connect` would use.

    Raises:
        ServerError: py2neo is not installed.
    """
    try:
        from py2neo import Graph
    except ImportError:
        raise ServerError("py2neo was needed and is not installed: `pip install py2neo`.") from None
    if settings.uri is not None:
        password = settings.password.get_secret_value() if settings.password else ""
        return Graph(settings.uri.replace("neo4j://", "bolt://"), auth=(settings.username, password))
    server = LocalServer(settings, cache)
    return Graph(server.uri, auth=("neo4j", server.password()))
