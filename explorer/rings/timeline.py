"""When the links of a ring were first and last seen: one lane for each kind of link, one line for each link."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from explorer.canvas.elements import type_word
from explorer.rings.picture import link_told
from explorer.words import local, say
from graph.answers import Edge

MOST = 400  # lines; a browser draws them at once
Line = tuple[dt.datetime, dt.datetime, Edge]
_COLORS = {
    "USES_DEVICE": "#d55e00", "HOLDS_SIM": "#8a5a9e", "USES_PHONE": "#009e73", "LISTS_CONTACT": "#56b4e9",
    "CALLED": "#0072b2", "SUBMITTED": "#b07d00", "FUNDED": "#e69f00",
}  # fmt: skip


def timeline(edges: Iterable[Edge]) -> dict[str, Any] | None:
    """Return a plotly figure, or None where no link has a time; the newest links where there are too many."""
    newest = sorted(_timed(edges), key=lambda line: line[1], reverse=True)[:MOST]
    lanes: dict[str, list[Line]] = {}
    for line in newest:
        lanes.setdefault(line[2].relationship, []).append(line)
    if not lanes:
        return None
    ordered = sorted(lanes, key=lambda name: min(first for first, _, _ in lanes[name]), reverse=True)
    traces = [_lane(number, name, lanes[name]) for number, name in enumerate(ordered)]
    words = [say("rings.lane", type=type_word(name), count=len(lanes[name])) for name in ordered]
    return {"data": traces, "layout": _layout(words)}


def _timed(edges: Iterable[Edge]) -> list[Line]:
    return [(e.first_seen_at, e.last_seen_at, e) for e in edges if e.first_seen_at and e.last_seen_at]


def left_out(edges: Iterable[Edge]) -> int:
    """Return how many links with times a timeline has no line for."""
    return max(0, len(_timed(edges)) - MOST)


def _lane(number: int, name: str, lines: list[Line]) -> dict[str, Any]:
    x: list[str | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for position, (first, last, edge) in enumerate(sorted(lines, key=lambda line: line[0])):
        height = number + 0.76 * ((position + 1) / (len(lines) + 1) - 0.5)
        told = link_told(edge)
        x += [*(f"{local(at):%Y-%m-%d %H:%M:%S}" for at in (first, last)), None]
        y += [height, height, None]
        text += [told, told, ""]
    color = _COLORS.get(name, "#7f7f7f")
    return {
        "type": "scatter", "mode": "lines+markers", "x": x, "y": y, "text": text, "hoverinfo": "text",
        "line": {"color": color, "width": 2}, "marker": {"color": color, "size": 5}, "connectgaps": False,
    }  # fmt: skip


def _layout(words: list[str]) -> dict[str, Any]:
    return {
        "height": 60 + 32 * len(words), "margin": {"l": 8, "r": 12, "t": 8, "b": 30}, "showlegend": False,
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "hovermode": "closest", "dragmode": False,
        "xaxis": {"type": "date", "tickformat": "%Y-%m-%d", "nticks": 8, "fixedrange": True, "zeroline": False},
        "yaxis": {
            "tickvals": list(range(len(words))), "ticktext": words, "automargin": True, "fixedrange": True,
            "range": [-0.6, len(words) - 0.4], "zeroline": False, "showgrid": False,
        },
    }  # fmt: skip
