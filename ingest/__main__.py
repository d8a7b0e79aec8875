"""`python -m ingest`: check a mapping, make a synthetic world, get quarantined rows back. The night reads (`jobs`)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from graph.failures import spoken
from graph.settings import PlatformSettings

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, help="Raw records in, node and edge tables out."
)
console = Console()


@app.command()
def check_mapping(mapping: str, folder: Path) -> None:
    """Say what a mapping would read from a folder, before anything is read."""
    with spoken():
        from ingest.check import check, table
        from ingest.mapping import read_mapping

        checks = check(read_mapping(mapping), folder)
        console.print(table(checks))
        if any(found.error for found in checks):
            raise typer.Exit(1)


@app.command()
def synthetic(
    out: Path,
    applicants: Annotated[int, typer.Option(min=2_000, max=100_000_000)] = 2_000,
    nights: Annotated[int, typer.Option(min=1, max=366)] = 2,
    seed: int = 1,
) -> None:
    """Write a world of landing and truth files; the same numbers give the same bytes."""
    with spoken():
        from graph.spark import SparkOnDemand
        from ingest.synthetic import write_world

        spark = SparkOnDemand("synthetic", console)
        try:
            session = spark()
            with console.status(f"{applicants:,} applicants are invented"):
                counts = write_world(session, out, applicants=applicants, nights=nights, seed=seed)
        finally:
            spark.stop()
        console.print(counts)


@app.command()
def quarantine(
    source: str,
    out: Annotated[Path, typer.Option(help="The rows' own bytes go here, one a line, with the file's mode 0600")],
    user: Annotated[str, typer.Option(help="Who asks")],
    purpose: Annotated[str, typer.Option(help="Why; both are written to the audit log first")],
    reason: Annotated[str | None, typer.Option(help="Only rows refused for this reason code")] = None,
) -> None:
    """Get the refused rows of a source back as they were delivered, to mend and deliver them again."""
    with spoken():
        from graph.audit import AuditLog
        from graph.lake import Lake
        from graph.tokens import Keys
        from ingest.quarantine import open_rows

        platform = PlatformSettings()
        audit = AuditLog(f"sqlite:///{platform.keys.absolute().parent / 'audit.db'}")
        rows = open_rows(Lake(platform.lake), source, Keys.read(platform.keys), audit, user, purpose, reason)
        with open(out, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            for row in rows:
                file.write(row.original.rstrip(b"\n") + b"\n")
        console.print(f"{len(rows):,} rows of {source} are in {out}.")


if __name__ == "__main__":
    app()
