"""A Neo4j that has just started plans each statement before its first answer, for a second or more: so it is asked once
before anybody waits."""

from __future__ import annotations

import logging
from threading import Thread
from typing import Any, cast

from neo4j import Query, RoutingControl
from neo4j.exceptions import Neo4jError

from explorer.graph_door import GraphDoor, GraphDownError, GraphSlowError
from graph import queries

_LOG = logging.getLogger("explorer")
_SECONDS = 30


def statements() -> list[str]:
    """Return what the pages of rings ask, and what menus and expands ask of each label."""
    return [queries.rings_statement("score"), queries.RING, queries.RING_LINKS] + [
        text
        for label, branches in queries.BRANCHES.items()
        for text in (queries.NODE[label], queries.COUNTS[label], queries.page_statement(label, branches))
    ]


def warm(door: GraphDoor) -> int:
    """Ask each statement of a node that is not there; return how many were asked before Neo4j was found gone."""
    nobody: dict[str, Any] = {
        "id": "", "since": queries.ALWAYS, "until": queries.FOREVER, "after": {}, "limit": 1, "budget": {},
        "status": None, "typology": None, "min_score": None, "named": [], "members": 1,
    }  # fmt: skip
    for number, text in enumerate(statements()):
        try:
            query = Query(cast(Any, text), timeout=_SECONDS)
            door.execute_query(query, nobody, routing_=RoutingControl.READ)
        except GraphSlowError:
            continue  # it goes on planning while the next is asked
        except (GraphDownError, Neo4jError) as error:
            _LOG.info("statements are planned when they are first asked: %s", type(error).__name__)
            return number
    return len(statements())


def warm_beside(door: GraphDoor) -> None:
    """Do it in a thread of its own, so that nobody waits for it, and again when Neo4j comes back: with a new night it
    has planned nothing yet.
    """

    def begin() -> None:
        Thread(target=warm, args=(door,), name="warm", daemon=True).start()

    door.reconnected = begin
    begin()
