"""The list of rings: which are in the reader's queue, which have changed, which a filter keeps, in which order."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from explorer.masking import visible
from explorer.rights import Reader
from explorer.rings.verdicts import Judged
from explorer.words import has, moment, money, say, written
from graph.answers import GraphError
from graph.rings import STATUSES, Ring

SHOWN_ROWS = 1_000
EXPORT_ROWS = 10_000
VIEWS = ("queue", "all", "night", "looked", "judged")
ORDERS = ("queue", "score", "exposure", "newest")
View = Literal["queue", "all", "night", "looked", "judged"]
_LONG_AGO = dt.datetime(1, 1, 1, tzinfo=dt.UTC)


class AskedWronglyError(GraphError):
    """The browser asked for a list that there is not."""


class Filters(BaseModel):
    """Which rings, in which order. `text` is sought in the ring's id, its typology and who judged it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    view: View = "queue"
    order: Literal["queue", "score", "exposure", "newest"] = "queue"
    typology: Annotated[tuple[Annotated[str, Field(max_length=80)], ...], Field(max_length=60)] = ()
    status: Annotated[tuple[Literal[STATUSES], ...], Field(max_length=10)] = ()  # type: ignore[valid-type]
    min_score: Annotated[float, Field(ge=0, le=1)] | None = None
    min_size: Annotated[int, Field(ge=0, le=10**6)] | None = None
    text: Annotated[str, Field(max_length=100)] = ""


def filters(given: Any) -> Filters:
    """Return what a browser sent as filters.

    Raises:
        AskedWronglyError: they are none; what was sent is not repeated.
    """
    try:
        said = {key: value for key, value in dict(given or {}).items() if value is not None and value != ""}
        return Filters.model_validate(said)
    except (ValidationError, TypeError, ValueError):
        raise AskedWronglyError(say("rings.asked_wrongly")) from None


@dataclass(frozen=True)
class Entry:
    """One ring in the list. `changed_on`: the last night that found it other than the night before."""

    ring: Ring
    verdict: Judged | None
    changed_on: dt.date | None

    @property
    def outdated(self) -> bool:
        """Whether the ring has changed since its verdict."""
        verdict, changed = self.verdict, self.changed_on
        return verdict is not None and changed is not None and changed > verdict.as_of_date

    @property
    def waits(self) -> bool:
        """Whether it is in the queue: nobody has judged it as it is now."""
        return self.verdict is None or self.outdated

    @property
    def weight(self) -> float:
        """Score times amount at risk, by which the queue is sorted."""
        return (self.ring.score or 0.0) * (self.ring.exposure_cny or 0.0)


@dataclass(frozen=True)
class Listing:
    """The rings of a filter in order, out of `total`; `counts` says how many each view has before other filters."""

    entries: tuple[Entry, ...]
    total: int
    counts: Mapping[str, int]


def entries(rings: Iterable[Ring], verdicts: Mapping[str, Judged]) -> tuple[Entry, ...]:
    """Return the rings with what people said of them and when they changed last."""
    return tuple(Entry(ring, verdicts.get(ring.id), changed_on(ring)) for ring in rings)


def changed_on(ring: Ring) -> dt.date | None:
    """Return the last night on which the ring was born, grew, merged or was split off."""
    days = [step.date for step in ring.lineage if step.status != "same"]
    if ring.status not in (None, "same") and ring.as_of_date is not None:
        return ring.as_of_date
    try:
        return max(map(dt.date.fromisoformat, days), default=ring.born_on)
    except ValueError:
        return ring.born_on


def listing(known: Sequence[Entry], asked: Filters, night: dt.date | None, looked: dt.date | None) -> Listing:
    """Return what the filters keep, in order.

    Args:
        night: of the graph; a ring that it found changed has changed since the night before.
        looked: the night whose graph the reader saw at the visit before this one; None if there was none.
    """
    in_view = {view: [entry for entry in known if _in_view(entry, view, night, looked)] for view in VIEWS}
    kept = [entry for entry in in_view[asked.view] if _kept(entry, asked)]
    kept.sort(key=lambda entry: _ORDERS[asked.order](entry))
    return Listing(tuple(kept), len(known), {view: len(found) for view, found in in_view.items()})


def _in_view(entry: Entry, view: str, night: dt.date | None, looked: dt.date | None) -> bool:
    match view:
        case "queue":
            return entry.waits
        case "night":
            return night is not None and entry.changed_on == night
        case "looked":
            return looked is None or (entry.changed_on is not None and entry.changed_on > looked)
        case "judged":
            return entry.verdict is not None
    return True


def _kept(entry: Entry, asked: Filters) -> bool:
    ring = entry.ring
    if asked.typology and ring.typology not in asked.typology:
        return False
    if asked.status and ring.status not in asked.status:
        return False
    if asked.min_score is not None and (ring.score or 0.0) < asked.min_score:
        return False
    if asked.min_size is not None and (ring.size or 0) < asked.min_size:
        return False
    sought = asked.text.strip().lower()
    by = entry.verdict.by if entry.verdict else ""
    return not sought or any(sought in text.lower() for text in (ring.id, typology_word(ring.typology), by))


_ORDERS: dict[str, Any] = {
    "queue": lambda e: (-e.weight, -(e.ring.score or 0.0), e.ring.id),
    "score": lambda e: (-(e.ring.score or 0.0), -(e.ring.exposure_cny or 0.0), e.ring.id),
    "exposure": lambda e: (-(e.ring.exposure_cny or 0.0), -(e.ring.score or 0.0), e.ring.id),
    "newest": lambda e: (-(e.ring.last_seen_at or _LONG_AGO).timestamp(), -(e.ring.score or 0.0), e.ring.id),
}


def typology_word(typology: str | None) -> str:
    """Return what a typology is called; one that the lender's own rules name keeps its name."""
    if typology is None:
        return "—"
    return say(f"rings.typology.{typology}") if has(f"rings.typology.{typology}") else typology


def row(user: Reader | None, entry: Entry, night: dt.date | None) -> dict[str, Any]:
    """Return a row of the table: values to sort by and texts to read, as far as the reader may see them."""
    ring = entry.ring
    seen = visible(user, {"score": ring.score, "exposure_cny": ring.exposure_cny})
    verdict = entry.verdict
    said = "" if verdict is None else say(f"rings.verdict.{verdict.verdict}")
    return {
        "id": ring.id, "name": short_ring(ring.id), "typology": typology_word(ring.typology),
        "status": say(f"rings.status.{ring.status}") if ring.status in STATUSES else "—",
        "score": seen.get("score"), "score_text": "—" if "score" not in seen else f"{seen['score']:.2f}",
        "size": ring.size, "size_text": written(ring.size), "exposure": seen.get("exposure_cny"),
        "exposure_text": money(seen.get("exposure_cny")),
        "newest": int(ring.last_seen_at.timestamp()) if ring.last_seen_at else None,
        "newest_text": moment(ring.last_seen_at), "fresh": night is not None and entry.changed_on == night,
        "verdict": verdict.verdict.value if verdict else "", "verdict_text": said, "by": verdict.by if verdict else "",
        "outdated": entry.outdated, "outdated_text": say("rings.outdated") if entry.outdated else "",
    }  # fmt: skip


def short_ring(id: str) -> str:
    """Return what a ring is called in a list: enough of its id to tell two apart and to say it aloud."""
    return id if len(id) <= 13 else f"{id[:13]}…"


_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_COLUMNS = ("ring", "typology", "status", "score", "size", "exposure", "newest", "verdict", "by", "at", "note")


def as_csv(user: Reader | None, kept: Iterable[Entry]) -> str:
    """Return rings as CSV with a mark of UTF-8, so that a spreadsheet reads it; no cell begins a formula."""
    out = io.StringIO("\ufeff")
    out.seek(0, io.SEEK_END)
    writer = csv.writer(out)
    writer.writerow([say(f"rings.column.{name}") for name in _COLUMNS])
    for entry in kept:
        told, verdict = row(user, entry, None), entry.verdict
        cells = [
            entry.ring.id, told["typology"], told["status"], _number(told["score"]), entry.ring.size,
            _number(told["exposure"]), _at(entry.ring.last_seen_at), told["verdict_text"], told["by"],
            _at(verdict.at) if verdict else "", verdict.note if verdict else "",
        ]  # fmt: skip
        writer.writerow([f"'{cell}" if str(cell).startswith(_FORMULA) else cell for cell in cells])
    return out.getvalue()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}".rstrip("0").rstrip(".")


def _at(at: dt.datetime | None) -> str:
    return "" if at is None else f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}"
