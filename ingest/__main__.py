"""`python -m ingest`: read a landing folder into the lake, check a mapping, make a synthetic world."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from graph.failures import spoken
from graph.settings import PlatformSettings

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, help="Raw records in, node and edge tables out."
)
console = Console()


@app.command()
def run(
    day: Annotated[datetime, typer.Option("--date", formats=["%Y-%m-%d"], help="Deliveries up to this day are read")],
    landing: Annotated[Path, typer.Option(help="Folder that holds <YYYY-MM-DD>/<source>*")],
    lake: Annotated[Path | None, typer.Option(help="Default: CREDIT_GRAPH_LAKE or .local/lake")] = None,
    mapping: Annotated[str | None, typer.Option(help="A bundled mapping's name or a mapping file")] = None,
) -> None:
    """Read new files into the raw tables, without graph, load and report; `python -m jobs nightly run` does all."""
    with spoken():
        from graph.lake import Lake
        from graph.spark import SparkOnDemand
        from ingest.mapping import read_mapping
        from ingest.run import ingest

        platform = PlatformSettings()
        rules = read_mapping(mapping)
        spark = SparkOnDemand("ingest", console)
        try:
            with console.status("Landing files are read"):
                report = ingest(
                    spark, Lake(lake or platform.lake), landing, day.date(), rules, platform.keys.absolute()
                )
        finally:
            spark.stop()
        table = Table("file", "source", "rows in", "accepted", "duplicate", "quarantined", "reasons")
        for file in report.files:
            counts = (file.rows_in, file.rows_accepted, file.rows_duplicate, file.rows_quarantined)
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in file.reasons.most_common(3))
            table.add_row(file.file.name, file.file.source, *(f"{n:,}" for n in counts), reasons)
        console.print(table)
        for name in report.unknown:
            console.print(f"[yellow]no source takes {name}[/]")


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


if __name__ == "__main__":
    app()
