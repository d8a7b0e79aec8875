"""`python -m algorithms`: communities of any edge file, and what the night's algorithms found."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from algorithms.contact.command import app as leads_app
from graph.failures import spoken

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Communities, rings, hubs and features.")
app.add_typer(leads_app, name="leads")
console = Console()


@app.callback()
def _group() -> None:
    """Communities, rings, hubs and features."""


@app.command()
def communities(
    file: Annotated[Path, typer.Argument(help="Edges: src, dst and, if there, weight (.csv, .csv.gz, .parquet)")],
    out: Annotated[Path, typer.Option(help="Written: id, community (.csv, .parquet)")] = Path("communities.csv"),
    truth: Annotated[Path | None, typer.Option(help="Known communities (id, community) to compare with")] = None,
    nodes: Annotated[Path | None, typer.Option(help="Further ids, among them those without edges (id)")] = None,
    method: Annotated[
        str, typer.Option(help="map-equation, leiden, louvain, label-propagation or components")
    ] = "map-equation",
    engine: Annotated[str, typer.Option(help="local (this machine) or spark (a cluster)")] = "local",
    resolution: Annotated[float, typer.Option(help="Above 1: smaller communities; below 1: larger ones")] = 1.0,
    seed: Annotated[int, typer.Option(help="Order in which nodes are visited")] = 0,
) -> None:
    """Find the communities of any edge file."""
    with spoken():
        from algorithms.communities.command import run

        run(
            file,
            out,
            console,
            truth=truth,
            nodes=nodes,
            method=method,
            engine=engine,
            resolution=resolution,
            seed=seed,
        )


@app.command()
def reidentify(
    file: Annotated[Path, typer.Argument(help="Contact events: src, dst, kind, at, duration_s (.csv, .csv.gz)")],
    cutoff: Annotated[float, typer.Option(help="Epoch seconds from which numbers are silent, or first seen")],
    top: Annotated[int, typer.Option(help="Candidates listed for each number")] = 5,
    out: Annotated[
        Path | None, typer.Option(help="Written: old, new, rank, score (.csv); else they are printed")
    ] = None,
) -> None:
    """List for each number that fell silent at the cutoff the new numbers most likely to be the same person."""
    with spoken():
        from algorithms.leads.reidentify import run

        run(file, cutoff, top, out, console)


features_app = typer.Typer(no_args_is_help=True, help="Graph features of applications as of their submission.")
app.add_typer(features_app, name="features")


@features_app.command("catalogue")
def features_catalogue(
    out: Annotated[Path, typer.Option(help="Where the page goes", dir_okay=False)] = Path("docs/features.md"),
    show: Annotated[bool, typer.Option("--print", help="Print the page and write nothing")] = False,
) -> None:
    """Write the page that says what every graph feature means."""
    from algorithms.features.catalogue import page

    if show:
        print(page(), end="")
        return
    out.write_text(page(), encoding="utf-8")
    console.print(f"{out} is written.")


@features_app.command("build")
def features_build(
    lake: Annotated[Path, typer.Option(help="The lake's folder", exists=True, file_okay=False)],
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day applied on, UTC")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day applied on, UTC; included")],
    by_delivery: Annotated[
        bool, typer.Option(help="--no-by-delivery sets delivery dates aside: to train on a bulk-loaded history")
    ] = True,
) -> None:
    """Write LAKE/features/application_graph for the applications of some days; other days stay."""
    with spoken():
        from algorithms.features.build import build
        from graph.lake import Lake
        from graph.spark import SparkOnDemand

        spark = SparkOnDemand("features", console)
        try:
            counts = build(spark(), Lake(lake), first.date(), last.date(), by_delivery)
        finally:
            spark.stop()
        console.print(f"{counts['application_graph']:,} applications of {first:%Y-%m-%d} to {last:%Y-%m-%d}.")


@app.command()
def hubs(
    lake: Annotated[Path | None, typer.Option(help="Default: CREDIT_GRAPH_LAKE or .local/lake")] = None,
    label: Annotated[str | None, typer.Option(help="Only hubs of this label: Phone, Device, Company …")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Hubs shown, those of most persons first")] = 50,
    override: Annotated[str | None, typer.Option(help="A node's id, to say what it is; needs --as")] = None,
    word: Annotated[str | None, typer.Option("--as", help="hub or not_hub")] = None,
    kind: Annotated[str | None, typer.Option(help="What kind of hub it is, if the rules are wrong")] = None,
    user: Annotated[str, typer.Option(help="Who says so")] = "",
    reason: Annotated[str, typer.Option(help="Why")] = "",
) -> None:
    """List the nodes that many share for an honest reason, or say what one of them is."""
    with spoken():
        from algorithms.hubs.command import run
        from graph.lake import Lake
        from graph.settings import PlatformSettings

        where = Lake(lake or PlatformSettings().lake)
        run(where, console, label=label, limit=limit, override=override, word=word, kind=kind, user=user, reason=reason)


@app.command()
def rings(
    day: Annotated[datetime, typer.Option("--date", formats=["%Y-%m-%d"], help="As of the end of this day, UTC")],
    lake: Annotated[Path | None, typer.Option(help="Default: CREDIT_GRAPH_LAKE or .local/lake")] = None,
    rules: Annotated[Path | None, typer.Option(help="Another rules file than algorithms/rules/rings.yml")] = None,
) -> None:
    """Find the rings as of any day again, from what was known then, and write them in place of that day's."""
    with spoken():
        from algorithms.rings.command import run
        from graph.lake import Lake
        from graph.settings import PlatformSettings

        run(Lake(lake or PlatformSettings().lake), day.date(), console, rules)


@app.command()
def weights(
    day: Annotated[datetime, typer.Option("--date", formats=["%Y-%m-%d"], help="As of the end of this day, UTC")],
    lake: Annotated[Path | None, typer.Option(help="Default: CREDIT_GRAPH_LAKE or .local/lake")] = None,
) -> None:
    """Learn the weights of links from the verdicts known on a day; nights from then on use them."""
    with spoken():
        from datetime import UTC, timedelta

        from rich.table import Table

        from algorithms.weight_fitting import fit, registered_hubs, write_weights
        from graph.lake import Lake
        from graph.settings import PlatformSettings
        from graph.spark import SparkOnDemand

        where = Lake(lake or PlatformSettings().lake)
        at = day.replace(tzinfo=UTC) + timedelta(days=1, microseconds=-1)
        spark = SparkOnDemand("weights", console)
        try:
            learned = fit(spark(), where, at, registered_hubs(spark(), where, day.date()))
        finally:
            spark.stop()
        write_weights(where, day.date(), learned)
        table = Table("relation", "base", "pairs", "both fraud", "", title=f"Weights as of {day:%Y-%m-%d}")
        for name, told in sorted(learned.relations.items()):
            table.add_row(name, f"{told.base:.3f}", f"{told.pairs:,}", f"{told.positive_pairs:,}", told.source)
        console.print(table)


if __name__ == "__main__":
    app(prog_name="python -m algorithms")
