"""One night's histograms against those of the nights before: figures, thresholds, and the sentence that names whom."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, Literal

from algorithms.drift.histograms import EMPTY, Histogram, Shift, added, shift
from algorithms.drift.settings import DriftSettings

Status = Literal["ok", "warn", "alarm", "no_reference", "too_few"]
_WORST: tuple[Status, ...] = ("alarm", "warn", "ok", "too_few", "no_reference")
_SHOWN = 20  # figures in the report; the table of histograms has what the others rest on

# Which landing sources feed an edge table besides `relations`: whom to ask when it drifts.
FED_BY: dict[str, tuple[str, ...]] = {
    "person_submitted": ("applications",), "funded": ("loans",), "uses_phone": ("applications", "phones"),
    "uses_device": ("applications", "devices"), "device_holds_sim": ("applications", "devices", "phones"),
    "phone_holds_sim": ("phones",), "lists_contact": ("contacts",), "called": ("calls",),
    "lives_at": ("applications",), "works_at": ("applications",), "has_phone": ("applications",),
    "paid_with": ("applications",), "seen_on": ("applications", "devices"), "referred_by": ("applications",),
}  # fmt: skip
# What stands as of a night, whatever was delivered in it.
_STANDING = frozenset({"ring_score", "ring_size", "ring_typology", "component_size", "community_size"})

_SAYS = {
    "rows": "the mix of rows delivered by source", "volume": "the rows that {group} delivered",
    "nulls": "how often {group} is empty", "channel": "the mix of applications by channel",
    "edge_mix": "the mix of new relationships by type", "degree": "how many new relationships a node of {group} has",
    "hub_mass": "the share of new {group} that lead to hubs", "event_age": "how old the events of new {group} are",
    "feature": "the feature {group}", "ring_score": "the scores of rings", "ring_size": "the sizes of rings",
    "ring_typology": "the mix of rings by typology", "component_size": "the sizes of components",
    "community_size": "the sizes of communities",
}  # fmt: skip


@dataclass(frozen=True)
class DriftFigure:
    """One comparison. `blame` names the source, channel or type, and the day where events have one.

    `psi`, `ks` are None where there was nothing to compare with, `ratio` beside `volume` only.
    """

    night: date
    metric: str
    group: str
    status: Status
    psi: float | None
    ks: float | None
    ratio: float | None
    count: int
    reference_count: int
    nights: int
    blame: str
    sentence: str


def figures(
    night: date, today: Sequence[Histogram], past: Mapping[date, Sequence[Histogram]], settings: DriftSettings
) -> list[DriftFigure]:
    """Return one figure for each histogram of the night, and one for each source's volume, the worst first.

    Args:
        past: histograms of earlier nights by night; later ones, and more than `settings.nights`, are not used.
    """
    nights = sorted((day for day in past if day < night), reverse=True)[: settings.nights]
    rows = _rows(today)
    by_key: dict[tuple[str, str], list[Histogram]] = {}
    for day in nights:
        # A first load: its degrees and ages are those of years, also where few nodes are counted.
        first_load = rows and _rows(past[day]) > settings.bulk * rows
        for histogram in past[day]:
            if histogram.metric in _STANDING or not first_load:
                by_key.setdefault((histogram.metric, histogram.group), []).append(histogram)
    found = [_compared(night, item, by_key.get((item.metric, item.group), []), settings) for item in today]
    found += _volumes(night, today, [past[day] for day in nights], settings)
    # KS comes in where PSI is silent, so either may lead; equal figures stay in the order of their names.
    return sorted(found, key=lambda f: (_WORST.index(f.status), -max(f.psi or 0, f.ks or 0), f.metric, f.group))


def report(found: Sequence[DriftFigure]) -> dict[str, Any]:
    """Return what `night_report` keeps: the worst status, counts by status, the sentences, the first figures."""
    counts = {status: sum(f.status == status for f in found) for status in _WORST}
    worst = next((status for status in _WORST if counts[status]), "no_reference")
    told = [f for f in found if f.status in ("alarm", "warn")]
    rows = [asdict(figure) | {"night": figure.night.isoformat()} for figure in told[:_SHOWN]]
    said = [figure.sentence for figure in told[:_SHOWN]]
    if worst == "no_reference":
        said = ["No reference yet: drift is told from the second comparable night on."]
    return {"status": worst, "counts": counts, "sentences": said, "figures": rows}


def _rows(histograms: Sequence[Histogram]) -> int:
    return sum(histogram.total for histogram in histograms if histogram.metric == "rows")


def _compared(night: date, today: Histogram, past: list[Histogram], settings: DriftSettings) -> DriftFigure:
    usable = [h for h in past if 0 < h.total <= settings.bulk * max(1, today.total)]
    then = added(usable)
    count, reference = today.total, sum(then.values())
    common = (night, today.metric, today.group)
    what = _SAYS.get(today.metric, today.metric).format(group=today.group)
    if not usable:
        sentence = f"{night}: {what}: no reference yet."
        return DriftFigure(*common, "no_reference", None, None, None, count, 0, 0, "", sentence)
    if min(count, reference) < settings.min_count:
        sentence = f"{night}: {what}: too few to compare ({count:,} tonight, {reference:,} before)."
        return DriftFigure(*common, "too_few", None, None, None, count, reference, len(usable), "", sentence)
    moved = shift(today.counts, then, today.ordered)
    status = _status(moved, settings)
    blame = _blame(night, today, moved)
    ks = "" if moved.ks is None else f", KS {moved.ks:.2f}"
    sentence = (
        f"{night}: {what}: PSI {moved.psi:.2f}{ks} against {len(usable)} nights; {_bin(today, moved.bin)} went from "
        f"{moved.then:.1%} to {moved.now:.1%}. Look at {blame}."
    )
    return DriftFigure(
        *common, status, moved.psi, moved.ks, None, count, reference, len(usable), blame, sentence
    )  # fmt: skip


def _status(moved: Shift, settings: DriftSettings) -> Status:
    psi = moved.psi if moved.psi_p < settings.p_value else 0.0
    ks = moved.ks if moved.ks is not None and moved.ks_p < settings.p_value else 0.0
    if psi >= settings.psi_alarm or ks >= settings.ks_alarm:
        return "alarm"
    return "warn" if psi >= settings.psi_warn or ks >= settings.ks_warn else "ok"


def _volumes(
    night: date, today: Sequence[Histogram], past: list[Sequence[Histogram]], settings: DriftSettings
) -> list[DriftFigure]:
    """Compare each source's rows with its median night, also where it delivered nothing tonight."""
    now = added(h for h in today if h.metric == "rows")
    before = [added(h for h in histograms if h.metric == "rows") for histograms in past]
    found = []
    for source in sorted({*now, *(name for counts in before for name in counts)}):
        counts = [counts.get(source, 0) for counts in before]
        usual, count = statistics.median(counts) if counts else 0, now.get(source, 0)
        if len(counts) < settings.volume_nights or max(usual, count) < settings.min_count:
            continue
        ratio = count / max(usual, 1)
        size = max(ratio, 1 / max(ratio, 1e-9))
        status: Status = "alarm" if size >= settings.volume_alarm else "warn" if size >= settings.volume_warn else "ok"
        sentence = (
            f"{night}: {source} delivered {count:,} rows, {ratio:.2g} times its median of {usual:,.0f} in "
            f"{len(counts)} nights. Look at source {source}, delivery {night}."
        )
        found.append(
            DriftFigure(night, "volume", source, status, None, None, ratio, count, round(usual), len(counts),
                        f"source {source}, delivery {night}", sentence)
        )  # fmt: skip
    return found


def _from(table: str) -> str:
    sources = FED_BY.get(table, ("relations",))
    return f"{'source' if len(sources) == 1 else 'sources'} {' and '.join(sources)} (type {table})"


def _bin(histogram: Histogram, name: str) -> str:
    if name == EMPTY:
        return "the empty ones"
    if histogram.metric == "event_age":
        return f"events {name} days old or older" if float(name) > _LAST_SINGLE_DAY else f"events {name} days old"
    return f"the bin from {name}" if histogram.ordered else name


def _blame(night: date, histogram: Histogram, moved: Shift) -> str:
    table = histogram.group.split(".")[0]
    match histogram.metric:
        case "rows":
            return f"source {moved.bin}, delivery {night}"
        case "nulls":
            return f"source {table}, column {histogram.group.partition('.')[2]}, delivery {night}"
        case "channel":
            return f"channel {moved.bin}, delivery {night}"
        case "edge_mix":
            return f"{_from(moved.bin)}, delivery {night}"
        case "event_age":
            age = int(float(moved.bin))
            day = f"event day {night - timedelta(days=age)}"
            return f"{_from(table)}, {day if age <= _LAST_SINGLE_DAY else day + ' and before'}"
        case "degree" | "hub_mass":
            return f"{_from(table)}, delivery {night}"
        case _:
            return f"{histogram.metric} {histogram.group}".strip() + f", night {night}"


_LAST_SINGLE_DAY = 13  # of event ages that have a bin of their own
AGE_BINS = (*range(_LAST_SINGLE_DAY + 1), _LAST_SINGLE_DAY + 1, 31, 91, 366)
