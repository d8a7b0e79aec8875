"""The lights of a night: drift, the champion's watch, the work queue, and whether Neo4j equals the lake."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.dataset as ds
from deltalake import DeltaTable

from explorer.parts import Color, worst
from graph.lake import Lake, has_table
from graph.ledger import Run

WATCHES = ("drift", "scores", "leads", "load")  # stages of the night, in the order of their lights
NIGHTS = 14  # shown in the row of lights
_REACH = dt.timedelta(days=45)
_COLORS: dict[str, Color] = {"ok": "green", "warn": "amber", "alarm": "red"}


@dataclass(frozen=True)
class Light:
    """One light. `told` is a key of the words; `night` is set where an earlier night's light still holds.

    Attributes:
        sentences: as the night wrote them.
        figures: rows of `algorithms.drift`: metric, group, status, psi, ks, ratio, count, reference_count …
    """

    watch: str
    color: Color
    told: str
    sentences: tuple[str, ...] = ()
    figures: tuple[Mapping[str, Any], ...] = ()
    night: dt.date | None = None


@dataclass(frozen=True)
class Told:
    """What a stage of a night told, as `night_report` keeps it."""

    night: dt.date
    run: int
    stage: str
    details: Mapping[str, Any]


def reported(lake: Lake, until: dt.date) -> list[Told]:
    """Return what the watched stages told in the weeks up to a night, the newest first; none before a first night."""
    path = lake.results("night_report")
    if not has_table(path):
        return []
    night = ds.field("night")
    wanted = (night <= until) & (night > until - _REACH) & ds.field("stage").isin(WATCHES)
    columns = ["night", "run", "stage", "details"]
    rows = DeltaTable(path).to_pyarrow_dataset().to_table(columns=columns, filter=wanted).to_pylist()
    found = [Told(row["night"], row["run"], row["stage"], json.loads(row["details"] or "{}")) for row in rows]
    return sorted(found, key=lambda told: (told.night, told.run), reverse=True)


def lights(run: Run, earlier: Iterable[Told]) -> list[Light]:
    """Return the four lights of a run; what it found unchanged since an earlier night keeps that night's light."""
    found = []
    before = [told for told in earlier if told.run < run.number]
    stages = {stage.stage: stage for stage in run.stages}
    for watch in WATCHES:
        stage = stages.get(watch)
        if stage is None and run.state == "done":
            found.append(Light(watch, "gray", "night.light_none"))
        elif stage is None or stage.state == "running":
            found.append(Light(watch, "gray", "night.light_not_yet"))
        elif stage.state == "failed":
            found.append(Light(watch, "red", "night.light_failed"))
        else:
            found.append(_light(watch, stage.counts, before))
    return found


def history(run: Run, rows: Iterable[Told]) -> dict[str, list[tuple[dt.date, Color]]]:
    """Return each watch's colors of the last nights, the oldest first; of a night that ran twice its last run counts.

    A night that found nothing changed has the color of the night before it.
    """
    newest: dict[tuple[dt.date, str], Mapping[str, Any]] = {}
    for told in sorted((told for told in rows if told.run < run.number), key=lambda told: told.run):
        if _tells(told.stage, told.details) or (told.night, told.stage) not in newest:
            newest[told.night, told.stage] = told.details
    nights = sorted({night for night, _ in newest})[-NIGHTS + 1 :]
    found: dict[str, list[tuple[dt.date, Color]]] = {watch: [] for watch in WATCHES}
    for watch in WATCHES:
        color: Color = "gray"
        for night in nights:
            details = newest.get((night, watch), {})
            if _tells(watch, details):
                color = _own(watch, details).color
            found[watch].append((night, color))
    day = dt.date.fromisoformat(run.night)
    for light in lights(run, rows):
        found[light.watch] = [one for one in found[light.watch] if one[0] != day] + [(day, light.color)]
    return found


def whole(found: Iterable[Light]) -> Color:
    """Return the color of all lights together."""
    return worst(light.color for light in found)


def _light(watch: str, details: Mapping[str, Any], before: list[Told]) -> Light:
    if _tells(watch, details):
        return _own(watch, details)
    held = next((told for told in before if told.stage == watch and _tells(watch, told.details)), None)
    if held is None:
        return Light(watch, "gray", "night.light_unchanged")
    light = _own(watch, held.details)
    return Light(watch, light.color, light.told, light.sentences, light.figures, held.night)


def _tells(watch: str, details: Mapping[str, Any]) -> bool:
    """Return whether a stage has a light of its own; one that found nothing changed keeps the light before it."""
    return watch == "load" or details.get("how") != "unchanged" or "status" in details


def _own(watch: str, details: Mapping[str, Any]) -> Light:
    """Return the light that a stage's own details give."""
    sentences, figures = tuple(details.get("sentences") or ()), tuple(details.get("figures") or ())
    if watch == "load":
        equal = details.get("neo4j_equals_lake")
        return Light(watch, "green" if equal else "gray", "night.light_equal" if equal else "night.light_not_loaded")
    if watch == "leads" and "status" not in details:
        looked = "loans_looked_for" in details or "queued" in details
        return Light(watch, "green" if looked else "gray", "night.light_queue" if looked else "night.light_none")
    status = details.get("status")
    if status is None:
        told = "night.light_no_champion" if details.get("how") == "no champion" else "night.light_none"
        return Light(watch, "gray", told)
    color = _COLORS.get(str(status), "gray")
    return Light(watch, color, f"night.light_{status}" if color != "gray" else "night.light_no_reference",
                 sentences, figures)  # fmt: skip
