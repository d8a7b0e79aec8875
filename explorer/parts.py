"""What pages of tables and cards are put together from: a light, a table, a list of facts, a command to copy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from dash import html

from explorer.words import say

Color = Literal["green", "amber", "red", "gray"]
_WORST: tuple[Color, ...] = ("red", "amber", "green", "gray")


def worst(colors: Iterable[Color]) -> Color:
    """Return the color that asks for most; gray where there is none."""
    found = set(colors)
    return next((color for color in _WORST if color in found), "gray")


def light(color: Color, said: str) -> Any:
    """Return a light with what it means beside it; its shape doubles its color."""
    unread: Any = {"aria-hidden": "true"}
    return html.Span([html.Span(className=f"pt-light pt-{color}", **unread), said], className="pt-lit")


def card(title: str, *parts: Any, id: str | None = None, more: Any = None) -> Any:
    """Return a card under a heading; `more` stands beside the heading."""
    head = html.Div([html.H2(title), *([more] if more is not None else [])], className="pt-head")
    named: Any = {"id": id} if id else {}
    return html.Section([head, *parts], className="cg-card pt-card", **named)


def facts(pairs: Iterable[tuple[str, Any]]) -> Any:
    """Return names with their values."""
    return html.Dl([html.Div([html.Dt(name), html.Dd(value)]) for name, value in pairs], className="cg-facts")


def table(
    head: Sequence[str], rows: Sequence[Sequence[Any]], *, caption: str, numbers: frozenset[int] = frozenset(),
    chosen: int | None = None,
) -> Any:  # fmt: skip
    """Return a table; the columns in `numbers` stand right, the row `chosen` is marked."""

    def kind(column: int) -> Any:
        return {"className": "pt-number"} if column in numbers else {}

    body = [
        html.Tr(
            [html.Td(cell, **kind(column)) for column, cell in enumerate(row)],
            className="pt-chosen" if index == chosen else "",
        )
        for index, row in enumerate(rows)
    ]
    heads = [html.Th(name, scope="col", **kind(column)) for column, name in enumerate(head)]
    whole = html.Table([html.Caption(caption), html.Thead(html.Tr(heads)), html.Tbody(body)], className="pt-table")
    named: Any = {"aria-label": caption}
    return html.Div(whole, className="pt-wide", tabIndex=0, role="region", **named)  # one that is wide scrolls by keys


def command(text: str) -> Any:
    """Return a command as it is typed, with a button that copies it (`assets/parts.js`)."""
    copied: Any = {"data-copy": text, "data-copied": say("parts.copied")}
    return html.Div(
        [html.Code(text), html.Button(say("parts.copy"), type="button", className="pt-button", **copied)],
        className="pt-command",
    )


def duration(seconds: float | None) -> str:
    """Return how long something took, as short as it is exact enough."""
    if seconds is None:
        return "—"
    if seconds < 60:
        return say("parts.seconds", seconds=round(seconds, 1))
    whole = round(seconds)
    if whole < 3600:
        return say("parts.minutes", minutes=whole // 60, seconds=whole % 60)
    return say("parts.hours", hours=whole // 3600, minutes=whole % 3600 // 60)
