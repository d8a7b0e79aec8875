"""The list of cases and the form of a new one, as components."""

from __future__ import annotations

from typing import Any

import dash_ag_grid as dag
import dash_mantine_components as dmc
from dash import dcc, html

from explorer.cases.book import TITLE_LENGTH, Cases, Status
from explorer.cases.listing import VIEWS, seen_by
from explorer.cases.view import named
from explorer.desk import Desk
from explorer.rights import Action
from explorer.rings.listing import short_ring, typology_word
from explorer.scenes import Scenes
from explorer.shell import nothing
from explorer.words import say

_KEPT: dict[str, Any] = {"persistence": True, "persistence_type": "session"}


def list_screen(desk: Desk) -> Any:
    """Return the list with its filters and its export; its rows come by a callback."""
    views = [{"value": view, "label": say(f"cases.{view}")} for view in VIEWS]
    statuses = [{"value": str(status), "label": say(f"cases.{status}")} for status in Status]
    make = dcc.Link(say("cases.new"), href="/cases/new", className="cs-button")
    small: dict[str, Any] = {"size": "sm", **_KEPT}
    return html.Div(
        [
            html.Div(
                [
                    html.Div([html.H1(say("cases.title"), className="cg-title"),
                              html.P(say("cases.lead"), className="cg-lead")]),
                    make if desk.may(Action.CHANGE_CASES).allowed else None,
                ],
                className="cs-top",
            ),
            html.Div(
                [
                    dmc.SegmentedControl(id="cases-view", value="mine", data=views, **small,
                                         **named(say("cases.view"))),
                    dmc.MultiSelect(id="cases-status-filter", data=statuses, value=[], clearable=True, w=220, **small,
                                    placeholder=say("cases.filter_status"), **named(say("cases.filter_status"))),
                    dmc.TextInput(id="cases-text", debounce=300, w=230, placeholder=say("cases.filter_text"), **small,
                                  **named(say("cases.filter_text"))),
                ],
                className="cs-filters", role="search",
            ),
            html.Div(
                [html.P(id="cases-count", className="cs-quiet", role="status"), _export(desk)], className="cs-top"
            ),
            html.Div(id="cases-empty"),
            html.Div(_table(), id="cases-box", className="cs-box"),
            dcc.Store(id="cases-asked"),
        ],
        className="cs",
    )  # fmt: skip


def _table() -> Any:
    def column(name: str, width: int, value: str | None = None, **more: Any) -> dict[str, Any]:
        text = {"valueFormatter": {"function": f"params.data.{value}_text"}} if value else {}
        return {"colId": name, "headerName": say(f"cases.column_{name}"), "field": value or name, "minWidth": width,
                "flex": width, **text, **more}  # fmt: skip

    columns = [
        column("title", 220, cellRenderer="CaseName"),
        column("status", 100, "status"),
        column("verdict", 110, "verdict"),
        column("assignee", 110),
        column("ring", 130),
        column("scene", 130),
        column("notes", 80, type="rightAligned"),
        column("made_by", 90),
        column("changed", 165, "changed"),
    ]
    return dag.AgGrid(
        id="cases-table", rowData=[], columnDefs=columns, getRowId="params.data.id",
        className="ag-theme-quartz cg-grid", columnSize="responsiveSizeToFit",
        defaultColDef={"sortable": True, "resizable": True, "suppressHeaderMenuButton": True},
        dashGridOptions={"ensureDomOrder": True, "animateRows": False, "rowHeight": 34, "headerHeight": 34},
        style={"height": "100%", "width": "100%"}, dangerously_allow_code=False,
    )  # fmt: skip


def _export(desk: Desk) -> Any:
    if not desk.may(Action.EXPORT_CASES).allowed:
        return None
    form = [
        html.P(id="cases-export-told", className="cs-quiet"),
        dmc.TextInput(id="cases-purpose", label=say("cases.export_purpose"), size="xs",
                      description=say("cases.export_purpose_hint")),
        dmc.Button(say("cases.export_go"), id="cases-export-go", size="xs", mt=8, color="indigo.8"),
        html.P(id="cases-export-why", className="cs-warn", role="status"),
    ]  # fmt: skip
    summary = html.Summary(say("cases.export"), id="cases-export", className="cs-button")
    return html.Details([summary, html.Div(form, className="cg-card cs-sheet")], className="cs-export")


def new_screen(desk: Desk, ring_id: str, scene_id: str) -> Any:
    """Return the form of a new case, which says what the case will hold, and which ones there are on the ring."""
    ring = desk.reader.ring(ring_id) if ring_id else None
    scene = Scenes(desk.store).read(scene_id) if scene_id else None
    if ring_id:
        desk.require(Action.SEE_RINGS)
        if ring is None:
            return nothing(say("cases.ring_gone"))
    if scene_id:
        desk.require(Action.OPEN_SCENES)
        if scene is None:
            return nothing(say("cases.scene_gone"))
    told, title = [], ""
    if ring is not None:
        title = say("cases.title_of_ring", typology=typology_word(ring.typology), day=desk.now().date())
        told.append(say("cases.told_ring", name=short_ring(ring.id), sentences=len(ring.evidence), members=ring.total))
    if scene is not None:
        title = title or scene.name
        told.append(say("cases.told_scene", name=scene.name, version=scene.version))
    there = [case for case in seen_by(desk.user, Cases(desk.store).all()) if ring_id and case.ring_id == ring_id]
    links = html.Ul([html.Li(dcc.Link(case.title, href=f"/cases/{case.case_id}")) for case in there])
    return html.Div(
        [
            dcc.Link(say("cases.back"), href="/cases", className="cs-back"),
            html.H1(say("cases.make_title"), className="cg-title"),
            *[html.P(text, className="cg-lead") for text in told],
            *([html.Div([html.P(say("cases.make_here")), links], className="cs-there")] if there else []),
            html.Div(
                [
                    dmc.TextInput(id="cases-new-title", label=say("cases.title_field"), value=title, required=True,
                                  inputProps={"maxLength": TITLE_LENGTH}),
                    dmc.Textarea(id="cases-new-note", label=say("cases.note"), description=say("cases.note_hint"),
                                 autosize=True, minRows=3, maxRows=10),
                    html.Div([
                        dmc.Button(say("cases.make"), id="cases-make", color="indigo.8"),
                        html.Span(id="cases-make-told", className="cs-warn", role="status"),
                    ], className="cs-row"),
                ],
                className="cg-card cs-form",
            ),
            dcc.Store(id="cases-from", data={"ring": ring_id, "scene": scene_id}),
        ],
        className="cs cs-new",
    )  # fmt: skip
