"""What was noted and changed in a case, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import html

from explorer.cases.book import Entry, Kind
from explorer.words import say, written


def notes(entries: Sequence[Entry]) -> list[Any]:
    """Return the notes, oldest first, each with who and when."""
    found = [entry for entry in entries if entry.kind == Kind.NOTE]
    if not found:
        return [html.P(say("cases.notes_none"), className="cs-quiet")]
    return [
        html.Div(
            [
                html.P([html.Strong(entry.by), " ", written(entry.at)], className="cs-who"),
                html.P(entry.text, className="cs-text"),
            ],
            className="cs-note",
        )
        for entry in found
    ]  # fmt: skip


def history(entries: Sequence[Entry], verdicts: bool) -> list[Any]:
    """Return what happened to the case, newest first; without `verdicts` no word of them."""
    items = [
        html.Li([html.Span(written(entry.at), className="cs-when"), f"{entry.by}: ", what(entry)])
        for entry in reversed(entries)
        if verdicts or entry.kind != Kind.VERDICT
    ]
    return [html.Ol(items, className="cs-history")]


def what(entry: Entry) -> str:
    """Return what an entry says was done."""
    if entry.kind in (Kind.MADE, Kind.NOTE):
        return say(f"cases.history_{entry.kind}")
    if entry.kind == Kind.VERDICT:
        before, after = (say(f"rings.verdict.{name}") if name else "" for name in entry.changes["verdict"])
        return say("cases.history_verdict", new=after) if after else say("cases.history_taken", old=before)
    if entry.kind == Kind.EVIDENCE:
        before, after = ((digest or "")[:8] for digest in entry.changes["evidence"])
        return say("cases.history_evidence", old=before, new=after)
    return "; ".join(
        say("cases.history_change", field=say(_FIELDS[name]), old=_named(name, old), new=_named(name, new))
        for name, (old, new) in entry.changes.items()
    )


_FIELDS = {
    "title": "cases.title_field", "status": "cases.status", "assignee": "cases.assignee", "scene_id": "cases.scene"
}  # fmt: skip


def _named(field: str, value: str | None) -> str:
    if value is None:
        return "—"
    return say(f"cases.{value}") if field == "status" else value
