"""Which files a landing folder holds, which delivery brought them and which source takes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ingest.mapping import Mapping
from ingest.sources import SOURCES

FORMATS = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet")


class LandingError(Exception):
    """The landing folder cannot be read as it is; the text says what to do."""


@dataclass(frozen=True)
class LandingFile:
    """One file that fills one source; a file that fills several stands here several times."""

    path: str
    name: str  # inside the landing folder
    source: str
    entry: int  # which entry of the mapping
    delivered_on: date
    folder: str  # of the delivery, where joined files lie
    bytes: int
    digest: str

    @property
    def source_file(self) -> str:
        """What rows of the file carry: its name, with the entry's number where a source takes the file again."""
        return f"{self.name}#{self.entry}" if self.entry else self.name

    @property
    def format(self) -> str:
        """`csv`, `csv.gz`, `jsonl`, `jsonl.gz` or `parquet`."""
        return next(ending[1:] for ending in sorted(FORMATS, key=len, reverse=True) if self.path.endswith(ending))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def deliveries(landing: Path, mapping: Mapping, until: date) -> list[tuple[date, Path]]:
    """Return (delivery date, folder) of all deliveries up to and including `until`, oldest first.

    Without `deliveries` in the mapping these are the folders named by a date; where there is none and the mapping
    names file patterns, the landing folder itself is one delivery of `until`.

    Raises:
        LandingError: there is no landing folder, or nothing in it is a delivery.
    """
    if not landing.is_dir():
        raise LandingError(f"The landing folder {landing} is not there; name the folder that holds <YYYY-MM-DD>/.")
    if mapping.deliveries:
        return sorted((day, landing / folder) for day, folder in mapping.deliveries.items() if day <= until)
    found = []
    for folder in landing.iterdir():
        try:
            day = date.fromisoformat(folder.name)
        except ValueError:
            continue
        if folder.is_dir() and len(folder.name) == 10:
            found.append((day, folder))
    if not found and mapping.sources:
        return [(until, landing)]
    if not found:
        raise LandingError(f"{landing} holds no folder named by a date such as 2026-06-30; found {_some(landing)}.")
    return sorted(entry for entry in found if entry[0] <= until)


def _some(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "") if names else "nothing"


def landing_files(
    landing: Path, mapping: Mapping, until: date, digests: bool = True
) -> Iterator[tuple[LandingFile | None, str]]:
    """Yield every file of the deliveries up to `until` with its name; None where no source takes it.

    Without `digests` no content is read, and files are told apart by name alone.
    """
    for day, folder in deliveries(landing, mapping, until):
        for path in sorted(p for p in folder.rglob("*") if p.is_symlink() or p.is_file()):
            name = str(path.relative_to(landing))
            taken = False
            for source, entry in _takers(path.relative_to(folder), mapping):
                taken = True
                size = 0 if path.is_symlink() else path.stat().st_size
                digest = "symlink" if path.is_symlink() else _digest(path) if digests else ""
                yield LandingFile(str(path), name, source, entry, day, str(folder), size, digest), name
            if not taken and not _joined(path.relative_to(folder), mapping):
                yield None, name


def _takers(path: Path, mapping: Mapping) -> list[tuple[str, int]]:
    if not path.name.endswith(FORMATS):
        return []
    if mapping.sources:
        return [
            (source, number)
            for source, entries in mapping.sources.items()
            for number, entry in enumerate(entries)
            if path.match(entry.pattern)
        ]
    names = [source for source in SOURCES if path.name.startswith(source)]
    return [(max(names, key=len), 0)] if names else []


def _joined(path: Path, mapping: Mapping) -> bool:
    return any(
        str(path) == join.file for entries in mapping.sources.values() for entry in entries for join in entry.joins
    )
