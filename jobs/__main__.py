"""`python -m jobs`: run a night, see the last ones, export a table."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from graph.failures import spoken
from graph.lake import Lake
from graph.settings import Neo4jSettings, PlatformSettings
from jobs.choices import ExportFormat, ExportTable, LoadHow

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="The night and its reports.")
nightly = typer.Typer(no_args_is_help=True, help="The night: from landing files to the graph in Neo4j.")
app.add_typer(nightly, name="nightly")
console = Console()

Day = Annotated[
    datetime, typer.Option("--date", formats=["%Y-%m-%d"], help="The night's day; its delivery is the newest read.")
]
LakeFolder = Annotated[Path | None, typer.Option("--lake", help="Default: CREDIT_GRAPH_LAKE or .local/lake")]


@nightly.command("run")
def run(
    day: Day,
    landing: Annotated[Path, typer.Option(help="Folder that holds <YYYY-MM-DD>/<source>*")],
    lake: LakeFolder = None,
    mapping: Annotated[str | None, typer.Option(help="A bundled mapping's name or a mapping file")] = None,
    how: Annotated[LoadHow, typer.Option("--load", help="How the graph gets into Neo4j")] = LoadHow.AUTO,
    graph_only: Annotated[bool, typer.Option(help="Leave what is concluded from the graph for another run")] = False,
) -> None:
    """Run one night; safe to run again, also after it was killed."""
    with spoken():
        from graph.ledger import Ledger
        from graph.spark import SparkOnDemand
        from ingest.mapping import read_mapping
        from jobs.night import Night
        from jobs.nightly import run_night
        from jobs.summary import summary

        platform = PlatformSettings()
        root = lake or platform.lake
        root.mkdir(parents=True, exist_ok=True)
        files, keys, rules = Lake(root), platform.keys.absolute(), read_mapping(mapping)
        night = Night(day.date(), landing, files, keys, rules, Neo4jSettings(), platform.cache, how, graph_only,
                      platform.models)  # fmt: skip
        spark = SparkOnDemand("nightly", console)
        try:
            told = run_night(spark, night, Ledger(f"sqlite:///{root / 'ledger.sqlite'}"), console)
        finally:
            spark.stop()
        console.print(summary(day, told))


@nightly.command("status")
def status(lake: LakeFolder = None, limit: Annotated[int, typer.Option(help="Stages shown")] = 12) -> None:
    """Show the last stages, and the command that resumes the night if it did not end."""
    with spoken():
        from graph.ledger import Ledger
        from jobs.summary import state

        path = (lake or PlatformSettings().lake) / "ledger.sqlite"
        if not path.exists():
            console.print(f"No night has run on this lake yet: there is no {path}.")
            raise typer.Exit(1)
        for part in state(Ledger(f"sqlite:///{path}").records(limit)):
            console.print(part)


@app.command()
def export(
    table: ExportTable,
    out: Annotated[Path, typer.Option(help="The file to write; it appears whole or not at all")],
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="What was known at the end of this day (UTC); default: the newest"),
    ] = None,
    written: Annotated[ExportFormat, typer.Option("--format")] = ExportFormat.CSV,
    lake: LakeFolder = None,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Add phone_number with the plain numbers; needs a purpose")
    ] = False,
    purpose: Annotated[str, typer.Option(help="Why the numbers are needed; goes to the audit log first")] = "",
    user: Annotated[str | None, typer.Option(help="Who asks; default: your login name")] = None,
) -> None:
    """Write a table of results, or who is which person, with the columns promised to its readers."""
    with spoken():
        import getpass

        from graph.audit import AuditLog
        from graph.tokens import Keys
        from graph.vault import Vault
        from jobs.export import Numbers, checked_reveal, write_table

        platform = PlatformSettings()
        files, numbers = Lake(lake or platform.lake), None
        if reveal:
            who = getpass.getuser() if user is None else user
            checked_reveal(table, who, purpose)
            audit = AuditLog(f"sqlite:///{platform.keys.absolute().parent / 'audit.db'}")
            numbers = Numbers(Vault(files.vault, Keys.read(platform.keys), audit), audit, who, purpose)
        done = write_table(files, table, as_of.date() if as_of else None, written, out, numbers)
        console.print(done.sentence, highlight=False, markup=False, soft_wrap=True)


@app.command()
def demo() -> None:
    """A small synthetic world through one whole night, and what to look at."""
    with spoken():
        from jobs import demo as demonstration

        demonstration.demo(console)


if __name__ == "__main__":
    app()
