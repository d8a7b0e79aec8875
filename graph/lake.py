"""Where each table of the lake lies, and what its Delta log says without a Spark session: version and rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deltalake import DeltaTable


@dataclass(frozen=True)
class Lake:
    """The folders of one lake; every table is a Delta table."""

    root: Path

    def raw(self, source: str) -> Path:
        """Typed rows of a landing source; key `row_key` + `delivered_on`."""
        return self.root / "raw" / source

    def quarantine(self, source: str) -> Path:
        """Refused rows of a landing source with their sealed bytes, reason code, file and line."""
        return self.root / "quarantine" / source

    def graph(self, table: str) -> Path:
        """A node table, an edge table, or `<table>_events`: the dated rows that fold into it."""
        return self.root / "graph" / table

    def features(self, table: str) -> Path:
        """A table of features as of a day."""
        return self.root / "features" / table

    def results(self, table: str) -> Path:
        """A table of results: `night_report`, `rings`, `leads` and so on."""
        return self.root / "results" / table

    @property
    def vault(self) -> Path:
        """Sealed plain values by token; only `graph.vault.Vault.reveal` reads it."""
        return self.root / "vault"

    @property
    def staging(self) -> Path:
        """Work of the running night; removed when the night ends well."""
        return self.root / "_staging"

    def tables(self) -> list[Path]:
        """Return all Delta tables that exist, in order of their paths."""
        found = (log.parent for log in self.root.glob("*/**/_delta_log") if self.staging not in log.parents)
        return sorted(path for path in found if has_table(path))


def has_table(path: Path) -> bool:
    """Return whether a Delta table lies at `path`; a first write that was killed before its commit left none."""
    return any((path / "_delta_log").glob("*.json"))


def version(path: Path) -> int:
    """Return the newest version of a Delta table."""
    return int(DeltaTable(path).version())


def row_count(path: Path, at_version: int | None = None) -> int:
    """Return the rows of a Delta table, newest version by default, from the log's own counts."""
    return int(DeltaTable(path, version=at_version).count())
