"""What one run of a night works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from graph.lake import Lake
from graph.settings import Neo4jSettings
from ingest.mapping import Mapping
from ingest.run import IngestReport
from jobs.choices import LoadHow


@dataclass
class Night:
    """What one run of a night works with, and what its stages told."""

    day: date
    landing: Path
    lake: Lake
    keys: Path
    mapping: Mapping
    neo4j: Neo4jSettings
    cache: Path
    how: LoadHow = LoadHow.AUTO
    graph_only: bool = False
    models: Path = Path(".local/models")
    run: int = 0
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    ingested: IngestReport | None = None

    @property
    def command(self) -> str:
        """The command that runs this night, and resumes it where it was cut off."""
        words = [
            "python -m jobs nightly run",
            f"--date {self.day}",
            f"--landing {self.landing}",
            f"--lake {self.lake.root}",
        ]
        if self.mapping.name != Mapping().name:
            words.append(f"--mapping {self.mapping.name}")
        if self.graph_only:
            words.append("--graph-only")
        return " ".join(words)

    @property
    def at(self) -> datetime:
        """The night sees the whole of its day."""
        return datetime.combine(self.day + timedelta(days=1), datetime.min.time(), UTC) - timedelta(microseconds=1)
