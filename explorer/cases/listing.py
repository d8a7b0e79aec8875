"""The list of cases: which the reader may see, which a filter keeps, the reader's own and open ones first."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from explorer.cases.book import Case, Status
from explorer.rights import Action, Reader, Shows, authorize, shows
from explorer.rings.listing import short_ring
from explorer.rings.verdicts import Judged
from explorer.words import moment, say

VIEWS = ("mine", "open_view", "all")
EXPORT_ROWS = 10_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_COLUMNS = ("title", "status", "verdict", "assignee", "ring", "scene", "notes", "made_by", "changed")


@dataclass(frozen=True)
class Filters:
    """What the reader asked for; whatever is not of the form of a filter is no filter."""

    view: str = "mine"
    status: tuple[str, ...] = ()
    text: str = ""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Filters:
        """Return the filters of what a browser sent."""
        view, status = given.get("view"), given.get("status")
        statuses = [name for name in status if name in set(Status)] if isinstance(status, list) else []
        text = given.get("text")
        return cls(
            str(view) if view in VIEWS else "mine",
            tuple(statuses),
            text.strip().lower() if isinstance(text, str) else "",
        )


def seen_by(user: Reader, cases: Iterable[Case]) -> tuple[Case, ...]:
    """Return the cases that the reader may see."""
    return tuple(case for case in cases if authorize(user, Action.SEE_CASES, case).allowed)


def listing(user: Reader, cases: Iterable[Case], asked: Filters) -> tuple[Case, ...]:
    """Return what the filters keep of the cases that the reader may see: theirs first, closed ones last."""
    kept = [case for case in seen_by(user, cases) if _kept(user, case, asked)]
    return tuple(
        sorted(kept, key=lambda case: (case.status == Status.CLOSED, user.name not in case.owners, -_seconds(case)))
    )


def row(user: Reader, case: Case, verdict: Judged | None) -> dict[str, Any]:
    """Return a row of the table: values to sort by and texts to read."""
    rings = Shows.RINGS in shows(user)
    return {
        "id": case.case_id, "title": case.title,
        "status": case.status.value, "status_text": say(f"cases.{case.status}"),
        "verdict": verdict.verdict.value if verdict and rings else "",
        "verdict_text": say(f"rings.verdict.{verdict.verdict}") if verdict and rings else "",
        "assignee": case.assignee or "", "ring": short_ring(case.ring_id) if case.ring_id and rings else "",
        "scene": str(case.evidence.get("scene", {}).get("name", "")), "notes": case.notes, "made_by": case.made_by,
        "changed": _seconds(case), "changed_text": moment(case.changed_at),
    }  # fmt: skip


def as_csv(user: Reader, cases: Iterable[Case], verdicts: Mapping[str, Judged]) -> str:
    """Return cases as CSV with a mark of UTF-8, so that a spreadsheet reads it; no cell begins a formula."""
    out = io.StringIO("\ufeff")
    out.seek(0, io.SEEK_END)
    writer = csv.writer(out)
    writer.writerow(["id", *(say(f"cases.column_{name}") for name in _COLUMNS)])
    for case in cases:
        told = row(user, case, verdicts.get(subject(case)))
        ring = case.ring_id or "" if told["ring"] else ""
        cells = [
            case.case_id, case.title, told["status_text"], told["verdict_text"], told["assignee"], ring, told["scene"],
            case.notes, case.made_by, f"{case.changed_at.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}",
        ]  # fmt: skip
        writer.writerow([f"'{cell}" if str(cell).startswith(_FORMULA) else cell for cell in cells])
    return out.getvalue()


def subject(case: Case) -> str:
    """Return what a verdict on the case is filed under: its ring, or itself where it has none."""
    return case.ring_id or case.case_id


def _kept(user: Reader, case: Case, asked: Filters) -> bool:
    if asked.view == "mine" and user.name not in case.owners:
        return False
    if asked.view == "open_view" and case.status == Status.CLOSED:
        return False
    if asked.status and case.status not in asked.status:
        return False
    ring = case.ring_id or "" if Shows.RINGS in shows(user) else ""
    return asked.text in " ".join((case.title, case.assignee or "", case.made_by, ring, case.case_id)).lower()


def _seconds(case: Case) -> int:
    return int(case.changed_at.timestamp())
