"""`python -m gnn`: the race between models, training, scoring, the champion."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from graph.failures import spoken
from graph.settings import PlatformSettings

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Models on the graph.")
console = Console()
_LAKE = "Default: CREDIT_GRAPH_LAKE or .local/lake"
_MODELS = PlatformSettings().models


def _end_of(day: datetime) -> datetime:
    return day.replace(tzinfo=UTC) + timedelta(days=1, microseconds=-1)


@app.callback()
def _group() -> None:
    """An honest race on the graph, scores, explanations, the champion."""


@app.command()
def benchmark(
    file: Annotated[Path, typer.Argument(help="An .npz in the neutral format of node classification.")],
    model: Annotated[list[str] | None, typer.Option(help="Only this model; may be given again.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one last line of JSON.")] = False,
) -> None:
    """Train every registered model on each split of FILE and print AUC, AP and Recall@K as mean ± sd."""
    with spoken():
        from gnn.benchmark import run

        told = run(file, model, console)
    if as_json:
        print(json.dumps(told))


@app.command("benchmark-leads")
def benchmark_leads(
    file: Annotated[Path, typer.Argument(help="Contact events: src, dst, kind, at, duration_s (.csv, .csv.gz)")],
    cutoff: Annotated[float, typer.Option(help="Epoch seconds; what is before is known, the rest is to be foretold")],
    target: Annotated[
        Literal["call", "message"] | None,
        typer.Option(help="First events of this kind are foretold. Default: the kind of more pairs before the cutoff"),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same figures")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one last line of JSON.")] = False,
) -> None:
    """Learn who will be in touch with whom from the events before the cutoff; print Hits@1/5/20 and MRR by ranker."""
    with spoken():
        from gnn.leads.benchmark import run

        told = run(file, cutoff, target, console, seed)
    if as_json:
        print(json.dumps(told))


@app.command()
def data(
    day: Annotated[datetime, typer.Option("--date", formats=["%Y-%m-%d"], help="As of the end of this day, UTC")],
    out: Annotated[Path, typer.Option(help="The store's folder; replaced")],
    lake: Annotated[Path | None, typer.Option(help=_LAKE)] = None,
    by_delivery: Annotated[
        bool, typer.Option(help="--no-by-delivery sets delivery dates aside: to train on a bulk-loaded history")
    ] = True,
) -> None:
    """Write the graph as of a day, with its applications, as arrays to learn from and to score."""
    with spoken():
        from gnn.data.lake import build
        from graph.lake import Lake
        from graph.spark import SparkOnDemand

        spark = SparkOnDemand("data", console)
        try:
            told = build(spark(), Lake(lake or PlatformSettings().lake), _end_of(day), out, by_delivery=by_delivery)
        finally:
            spark.stop()
        console.print(
            f"{out}: {told['nodes']:,} nodes, {told['edges']:,} edges of {told['relations']} relations, "
            f"{told['seeds']:,} applications, {told['labeled']:,} with a verdict."
        )
        if told["unknown"]:
            console.print(
                f"{told['unknown']:,} verdicts are on applicants without an application and teach nothing: deliver "
                "their applications, or mend the verdicts' applicant_id."
            )


@app.command()
def train(
    store: Annotated[Path, typer.Option(help="A store's folder, from `gnn data`")],
    train_until: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Last day to learn from, UTC")],
    validate_until: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Last day to choose by, UTC")],
    known_by: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Last day of labels; the test is later. Default: --validate-until"),
    ] = None,
    out: Annotated[Path, typer.Option(help="A folder for each model is written here")] = Path(".local/race"),
    model: Annotated[list[str] | None, typer.Option(help="Only this model; may be given again. Default: all")] = None,
    label: Annotated[
        Literal["fraud", "missed"], typer.Option(help="fraud: verdicts; missed: first instalments")
    ] = "fraud",
    budget: Annotated[float, typer.Option(min=0.0001, max=1, help="Share of applications alerted")] = 0.01,
    seed: Annotated[int, typer.Option(help="The same seed gives the same models")] = 0,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Where GraphSAGE trains; auto: on a GPU where there is one")
    ] = "auto",
    resume: Annotated[bool, typer.Option(help="Go on from checkpoints of a run that was cut off")] = False,
) -> None:
    """Train models on a store and print what each reached on the later applications."""
    with spoken():
        from gnn.training.command import train as run
        from gnn.training.sage import SageSettings

        taken = None if known_by is None else _end_of(known_by)
        until = (_end_of(train_until), _end_of(validate_until), taken)
        settings = SageSettings.model_validate({"seed": seed, "device": device})
        run(store, out, model or [], until, console, label=label, budget=budget, settings=settings, resume=resume)


@app.command()
def promote(
    trained: Annotated[Path, typer.Argument(help="A model's folder, from `gnn train`")],
    registry: Annotated[Path, typer.Option(help="The registry's folder")] = _MODELS,
    budget: Annotated[float, typer.Option(min=0.0001, max=0.9999, help="Share of applications alerted")] = 0.01,
    store: Annotated[Path | None, typer.Option(help="The challenger's store, for rivals to score its window")] = None,
    baseline: Annotated[str | None, typer.Option(help="A registered model to beat as well")] = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap")] = 0,
) -> None:
    """Register a trained model and let it try to become champion: it must win on its later window."""
    with spoken():
        from gnn.champion.command import promote as run

        if not run(trained, registry, console, budget=budget, store=store, baseline=baseline, seed=seed):
            raise typer.Exit(3)


@app.command("roll-back")
def roll_back(
    reason: Annotated[str, typer.Option(help="Why, for whoever reads the ledger")],
    registry: Annotated[Path, typer.Option(help="The registry's folder")] = _MODELS,
) -> None:
    """Put the champion before this one back in its place."""
    with spoken():
        from gnn.champion.registry import Registry

        console.print(f"The champion is {Registry(registry).roll_back(reason)} again.")


@app.command()
def ledger(
    registry: Annotated[Path, typer.Option(help="The registry's folder")] = _MODELS,
    replay: Annotated[int | None, typer.Option(help="Make the decision of this line again and compare")] = None,
) -> None:
    """List what was registered, promoted, refused and rolled back, or replay a decision."""
    with spoken():
        from gnn.champion.command import show_ledger

        if not show_ledger(registry, console, replay):
            raise typer.Exit(3)


@app.command()
def score(
    store: Annotated[Path, typer.Option(help="A store's folder, from `gnn data`")],
    registry: Annotated[Path, typer.Option(help="The registry whose champion scores")] = _MODELS,
    version: Annotated[str | None, typer.Option(help="Another registered model than the champion")] = None,
    lake: Annotated[Path | None, typer.Option(help=_LAKE)] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day applied on, UTC; default: all")
    ] = None,
) -> None:
    """Score applications, each as of its own minute, and write them to LAKE/results/applicant_scores."""
    with spoken():
        from gnn.scoring import score as run
        from graph.lake import Lake

        where = Lake(lake or PlatformSettings().lake)
        told = run(store, registry, where, version, None if since is None else since.replace(tzinfo=UTC))
        console.print(f"{told.rows:,} applications scored by {told.version}; {told.place}.")


@app.command()
def explain(
    application: Annotated[str, typer.Argument(help="An application_id")],
    store: Annotated[Path, typer.Option(help="A store's folder, from `gnn data`")],
    registry: Annotated[Path, typer.Option(help="The registry whose champion is asked")] = _MODELS,
    version: Annotated[str | None, typer.Option(help="Another registered model than the champion")] = None,
    most: Annotated[int, typer.Option(min=1, help="Reasons shown")] = 12,
) -> None:
    """Say why an application has its score: what each fact adds, and what one link less would change."""
    with spoken():
        from gnn.scoring import explain_one

        explain_one(application, store, registry, version, most, console)


if __name__ == "__main__":
    app()
