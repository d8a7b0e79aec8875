"""The night: whether it ended, what it counted, what drifted, and the exact command where something is left to do."""

from __future__ import annotations

import datetime as dt
from typing import Any

import dash_ag_grid as dag
from dash import Input, Output, State, dcc, html

from explorer.desk import Desk
from explorer.night.files import files
from explorer.night.view import screen
from explorer.pages import Page
from explorer.parts import card, command
from explorer.rights import Action
from explorer.shell import nothing
from explorer.words import say
from graph.ledger import Ledger, Run

RUNS = 10
_TICK_MS = 3000  # while a night runs
_SHORT = 12  # files of which the table shows all at once
_WIDE: dict[str, Any] = {"flex": 2, "minWidth": 210}
_SAID: dict[str, Any] = {"flex": 5, "minWidth": 320, "wrapText": True, "autoHeight": True, "cellClass": "nt-wrapped"}
_FILES: dict[str, dict[str, Any]] = {
    "source": {"minWidth": 120}, "name": _WIDE, "delivered_on": {"minWidth": 105}, "rows_in": {}, "rows_accepted": {},
    "rows_duplicate": {}, "rows_quarantined": {}, "reasons": _SAID,
}  # fmt: skip


def layout(desk: Desk, /, run: str = "", **_query: str) -> Any:
    """Return the page with the newest run, or the one asked for by its number."""
    chosen = int(run) if run.isascii() and run.isdigit() and len(run) < 12 else None
    body, going = _body(desk, chosen)
    return html.Div(
        [
            html.H1(say("night.title"), className="cg-title"),
            html.P(say("night.lead_in"), className="cg-lead"),
            dcc.Store(id="night-run", data=chosen),
            dcc.Interval(id="night-tick", interval=_TICK_MS, disabled=not going),
            html.Div(body, id="night-body"),
            html.Div(id="night-files"),
        ],
        id="night", className="pt-page",
    )  # fmt: skip


PAGE = Page("/night", "night.title", Action.SEE_NIGHT, layout, icon="night")


def register(desk: Desk) -> None:
    """Register what goes on while a night runs, and its files."""

    @desk.callback(
        Action.SEE_NIGHT,
        Output("night-body", "children"),
        Output("night-tick", "disabled"),
        Input("night-tick", "n_intervals"),
        State("night-run", "data"),
        prevent_initial_call=True,
    )
    def tick(_ticks: int | None, chosen: Any) -> tuple[Any, bool]:
        body, going = _body(desk, chosen if isinstance(chosen, int) else None)
        return body, not going

    @desk.callback(
        Action.SEE_NIGHT,
        Output("night-files", "children"),
        Input("night-show", "n_clicks"),
        State("night-run", "data"),
        prevent_initial_call=True,
    )
    def show_files(clicks: int | None, chosen: Any) -> Any:
        run = _chosen(_runs(desk), chosen if isinstance(chosen, int) else None)
        if not clicks or run is None:
            return []
        rows = files(desk.lake, dt.date.fromisoformat(run.night))
        return card(say("night.files"), _grid(rows) if rows else html.P(say("night.no_files")))


def _runs(desk: Desk) -> list[Run]:
    path = desk.lake.root / "ledger.sqlite"
    return Ledger(f"sqlite:///{path}").runs(RUNS) if path.exists() else []


def _chosen(runs: list[Run], number: int | None) -> Run | None:
    return next((run for run in runs if number in (None, run.number)), None)


def _body(desk: Desk, chosen: int | None) -> tuple[Any, bool]:
    """Return what there is to see, and whether it goes on by itself."""
    runs = _runs(desk)
    if not runs:
        first = command(
            f"python -m jobs nightly run --date {desk.now():%Y-%m-%d} --landing landing --lake {desk.lake.root}"
        )
        return [nothing(say("night.none_yet"), say("night.none_yet_next")), first], False
    return screen(desk.lake, runs, chosen, dt.datetime.now(dt.UTC)), runs[0].state == "running"


def _grid(rows: list[dict[str, Any]]) -> Any:
    short = len(rows) <= _SHORT
    size = "nt-files" if short else "nt-files nt-long"
    grouped = {"function": "d3.format(',')(params.value)"}
    numbers = {"type": "rightAligned", "filter": False, "valueFormatter": grouped}
    columns = [
        {"field": name, "headerName": say(f"night.{name}"), **(numbers if name.startswith("rows_") else {}), **more}
        for name, more in _FILES.items()
    ]
    return dag.AgGrid(
        id="night-files-grid", rowData=rows, columnDefs=columns, style={"height": None},
        className=f"ag-theme-quartz cg-grid {size}",
        defaultColDef={"sortable": True, "filter": True, "resizable": True, "flex": 1, "minWidth": 100,
                       "wrapHeaderText": True, "autoHeaderHeight": True},
        dashGridOptions={"domLayout": "autoHeight" if short else "normal", "ensureDomOrder": True},
        dangerously_allow_code=False,
    )  # fmt: skip
