"""From an expected failure to a sentence in the reader's language, and whether it may pass by itself."""

from __future__ import annotations

from dataclasses import dataclass

from explorer.graph_door import GraphDownError, GraphSlowError
from explorer.rights import ForbiddenError
from explorer.store import ExplorerStoreError
from explorer.words import say
from graph.answers import GraphError, NodeMissingError, StoppedError
from graph.audit import AuditUnavailableError
from graph.failures import sentence
from graph.tokens import KeysMissingError

_WORDS: tuple[tuple[type[Exception], str, bool], ...] = (
    (GraphDownError, "errors.graph_down", True),
    (GraphSlowError, "errors.graph_slow", True),
    (StoppedError, "errors.stopped", False),
    (NodeMissingError, "errors.node_missing", False),
    (AuditUnavailableError, "errors.audit_down", True),
    (ExplorerStoreError, "errors.store_down", True),
    (KeysMissingError, "errors.keys_missing", False),
)


@dataclass(frozen=True)
class Trouble:
    """What went wrong, in a sentence; `passes`: it is worth asking again without the reader doing anything."""

    sentence: str
    passes: bool
    of_graph: bool = False


def trouble(error: Exception) -> Trouble | None:
    """Return what to say of an expected failure; None for a mistake of ours, which keeps its traceback."""
    if isinstance(error, ForbiddenError):
        return Trouble(say(error.why), False)
    for kind, key, passes in _WORDS:
        if isinstance(error, kind):
            return Trouble(say(key), passes, isinstance(error, GraphDownError | GraphSlowError))
    if type(error).__name__ == "StoreError":  # of the work queue: it lies in the same database
        return Trouble(say("errors.store_down"), True)
    text = sentence(error)
    return None if text is None else Trouble(text, False, isinstance(error, GraphError))
