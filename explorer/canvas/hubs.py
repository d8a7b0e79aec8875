"""Which nodes are hubs, shared by many for an honest reason, as the night concluded; read from the lake."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

_LOG = logging.getLogger("explorer.canvas")
_KEEP_SECONDS = 60

Hub = tuple[str, str]


class Hubs:
    """The hubs of the newest night of a lake's table `results/hubs`; none where there is no table."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._asked_at = float("-inf")
        self._version: int | None = None
        self._known: Mapping[str, Hub] = {}

    def known(self) -> Mapping[str, Hub]:
        """Return the kind and the reason of each hub, by id."""
        with self._lock:
            if time.monotonic() - self._asked_at > _KEEP_SECONDS:
                self._asked_at = time.monotonic()
                self._read()
            return self._known

    def _read(self) -> None:
        import polars as pl
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        try:
            version = DeltaTable(str(self._path)).version()
            if version == self._version:
                return
            table = pl.read_delta(str(self._path), columns=["id", "kind", "reason", "as_of_date"])
        except (DeltaError, OSError) as error:
            _LOG.info("no hubs are shown: %s", type(error).__name__)
            return
        newest = table.filter(pl.col("as_of_date") == pl.col("as_of_date").max())
        self._known = {id: (kind or "", reason or "") for id, kind, reason, _ in newest.iter_rows()}
        self._version = version
