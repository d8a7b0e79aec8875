"""Scores of applications by a registered model, each as of its own minute, with reasons in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable, write_deltalake
from rich.console import Console
from rich.table import Table

from gnn.champion.calibration import Calibrator
from gnn.champion.registry import Registry, RegistryError
from gnn.data.store import Store, node_id, open_store
from gnn.explanations import Link, Reason, explained, strongest
from gnn.training.models import Logistic, Model, Trees, load
from gnn.training.parts import micros, read_seeds
from gnn.training.race import CALIBRATOR, predictions
from graph.lake import Lake, has_table

_REASON = pa.struct([("text", pa.string()), ("contribution", pa.float64())])
APPLICANT_SCORES = pa.schema(
    [("application_id", pa.string()), ("applicant_id", pa.string()), ("person_id", pa.string()),
     ("as_of_at", pa.timestamp("us", "UTC")), ("score", pa.float64()), ("model_version", pa.string()),
     ("reasons", pa.list_(_REASON))]
)  # fmt: skip


class UnknownApplicationError(Exception):
    """An application is not in a store; the text says what to do."""


@dataclass(frozen=True)
class Scored:
    """How many applications were scored, by which model, and where the scores are."""

    rows: int
    version: str
    place: Path


def window_scores(model_folder: Path, store_folder: Path, window: pl.DataFrame, out: Path) -> Path:
    """Write to `out` what a model says of the applications of another model's predictions, and return `out`.

    Args:
        window: application_id (key), label.
    """
    store = open_store(store_folder)
    seeds = read_seeds(store_folder).drop("label").join(window.select("application_id", "label"), "application_id")
    predictions(seeds, load(model_folder).score(store, seeds)).write_parquet(out)
    return out


def score(
    store_folder: Path,
    registry: Path,
    lake: Lake,
    version: str | None = None,
    since: datetime | None = None,
    alerted: float = 0.01,
    unscored: bool = False,
) -> Scored:
    """Score the applications of a store and write them to `LAKE/results/applicant_scores` (key application_id, model).

    Rows of the same model and applications are replaced, so that a run that was cut off is run again.

    Args:
        version: a registered model; the champion where none is given.
        since: only applications made then or later.
        alerted: share of the applications, those of highest score, that get reasons from models that explain slowly.
        unscored: only applications that this model has not scored yet.

    Raises:
        RegistryError: there is no champion.
    """
    chosen = _chosen(registry, version)
    store, seeds = open_store(store_folder), read_seeds(store_folder)
    if since is not None:
        seeds = seeds.filter(pl.col("at") >= micros(since))
    if unscored:
        seeds = seeds.join(shown(lake, chosen), "application_id", "anti", maintain_order="left")
    path = lake.results("applicant_scores")
    if not len(seeds):
        return Scored(0, chosen, path)
    folder = registry / chosen / "model"
    model = load(folder)
    scores = pl.Series("score", Calibrator.load(folder / CALIBRATOR).apply(model.score(store, seeds)))
    told = _reasons(model, store, seeds, scores, alerted, Registry(registry).card(chosen).learned_until)
    rows = pa.table(
        {
            "application_id": seeds["application_id"].to_arrow(), "applicant_id": seeds["applicant_id"].to_arrow(),
            "person_id": seeds["person_id"].to_arrow(),
            "as_of_at": seeds["at"].cast(pl.Datetime("us")).dt.replace_time_zone("UTC").to_arrow(),
            "score": scores.to_arrow(), "model_version": pa.array([chosen] * len(seeds)),
            "reasons": [[reason.record() for reason in of] for of in told],
        }
    ).cast(APPLICANT_SCORES)  # fmt: skip
    if has_table(path):
        same = "old.application_id = new.application_id AND old.model_version = new.model_version"
        merge = DeltaTable(path).merge(rows, same, source_alias="new", target_alias="old")
        merge.when_matched_update_all().when_not_matched_insert_all().execute()
    else:
        write_deltalake(path, rows)
    return Scored(len(rows), chosen, path)


def shown(lake: Lake, version: str) -> pl.DataFrame:
    """Return what the lake shows of a model: `application_id` (key), `as_of_at`, `score`."""
    path, wanted = lake.results("applicant_scores"), ["application_id", "as_of_at", "score"]
    if not has_table(path):
        return pl.DataFrame(pl.from_arrow(APPLICANT_SCORES.empty_table())).select(wanted)
    rows = DeltaTable(path).to_pyarrow_dataset()
    return pl.DataFrame(pl.from_arrow(rows.to_table(columns=wanted, filter=ds.field("model_version") == version)))


def _reasons(
    model: Model, store: Store, seeds: pl.DataFrame, scores: pl.Series, alerted: float, learned_until: datetime
) -> list[list[Reason]]:
    """Return the strongest reasons of each application; of GraphSAGE and stacks only those of the highest scores.

    Those are of applications the model did not learn from, unless there are no others.
    """
    told: list[list[Reason]] = [[] for _ in range(len(seeds))]
    later = (seeds["at"] >= micros(learned_until)).to_numpy()
    rows = scores.arg_sort(descending=True)
    if not isinstance(model, Trees | Logistic):
        rows = rows.filter(pl.Series(later[rows.to_numpy()])) if later.any() else rows
        rows = rows[: max(1, round(alerted * len(rows)))]
    for row, why in zip(rows, explained(model, store, seeds[rows.to_list()]), strict=True):
        told[row] = strongest(why)
    return told


def _chosen(registry: Path, version: str | None) -> str:
    """Return the model asked for, or the champion, its files as they were registered."""
    models = Registry(registry)
    chosen = version or models.champion()
    if chosen is None:
        raise RegistryError(f"{registry} has no champion. Promote one (python -m gnn promote), or name --version.")
    models.verify(chosen)
    return chosen


def explain_one(
    application: str, store_folder: Path, registry: Path, version: str | None, most: int, console: Console
) -> None:
    """Print why an application has its score.

    Raises:
        UnknownApplicationError: the store has no such application.
        RegistryError: there is no champion.
    """
    chosen = _chosen(registry, version)
    store, seeds = open_store(store_folder), read_seeds(store_folder).filter(pl.col("application_id") == application)
    if not len(seeds):
        raise UnknownApplicationError(
            f"{store_folder} has no application {application}. Check the id, or make a store of a later day: "
            "python -m gnn data --help"
        )
    folder = registry / chosen / "model"
    model = load(folder)
    raw, why = float(model.score(store, seeds)[0]), explained(model, store, seeds)[0]
    shown_as = Calibrator.load(folder / CALIBRATOR).apply(np.array([raw]))[0]
    table = Table(title=f"{application}: raw score {raw:.4f}, calibrated {shown_as:.4f}, by {chosen}")
    table.add_column("what")
    table.add_column("adds to ln(odds)", justify="right")
    table.add_row("where all applications start", f"{why.base:+.3f}")
    for reason in why.reasons[:most]:
        table.add_row(reason.text, f"{reason.contribution:+.3f}")
    if rest := why.reasons[most:]:
        table.add_row(f"{len(rest)} smaller ones", f"{sum(r.contribution for r in rest):+.3f}")
    table.add_row("together: ln(odds) of the raw score", f"{why.logit:+.3f}")
    console.print(table)
    if why.error:
        console.print(f"These contributions miss the raw score by {why.error:.3f} of ln(odds).")
    for link in why.links:
        console.print(f"{link.contribution:+.3f}  {_told(link, store_folder)}", soft_wrap=True)
    if why.without is not None:
        lost, now, left = why.without
        said = f"Without {_told(lost, store_folder)} GraphSAGE's ln(odds) falls from {now:.2f} to {left:.2f}."
        console.print(said, soft_wrap=True)


def _told(link: Link, store_folder: Path) -> str:
    src, dst = (f"{label}:{node_id(store_folder, label, row)}" for label, row in (link.src, link.dst))
    return f"{link.relation} from {src} to {dst}"
