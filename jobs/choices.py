"""What an operator may choose for a night; apart, so that `--help` waits for no Spark."""

from __future__ import annotations

from enum import StrEnum


class LoadHow(StrEnum):
    """How the graph gets into Neo4j; `auto` chooses by how much has changed."""

    AUTO = "auto"
    FULL = "full"
    INCREMENTAL = "incremental"
    NONE = "none"
