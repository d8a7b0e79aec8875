"""Rings: the list in the order of work, and the page of one ring at `/rings/<id>`."""

from __future__ import annotations

from typing import Any

import dash_ag_grid as dag
import dash_mantine_components as dmc
from dash import ClientsideFunction, Input, Output, State, ctx, dcc, html, no_update
from flask import Response, request

from explorer.canvas.asking import Content, asked
from explorer.canvas.opening import content_to_keep
from explorer.desk import Desk
from explorer.pages import Page
from explorer.rights import Action, ForbiddenError, Shows, shows
from explorer.rings.known import MembersMissingError, known_rings, one_ring, whole
from explorer.rings.listing import (
    EXPORT_ROWS,
    ORDERS,
    SHOWN_ROWS,
    VIEWS,
    AskedWronglyError,
    Filters,
    Listing,
    as_csv,
    filters,
    row,
    short_ring,
    typology_word,
)
from explorer.rings.screen import named, said, screen
from explorer.rings.verdicts import NOTE_LENGTH, Verdict, VerdictMetError, Verdicts, evidence_digest
from explorer.scenes import Scenes
from explorer.shell import nothing
from explorer.words import say
from graph.answers import GraphError
from graph.rings import STATUSES

PURPOSE_LENGTH = 200
_FILTERS = ("view", "order", "typology", "status", "min_score", "min_size", "text")
_JUDGE = tuple(f"rings-judge-{verdict}" for verdict in Verdict)
_SHOWN = {
    "rows": ("rings-table", "rowData"), "count": ("rings-count", "children"), "lead": ("rings-lead", "children"),
    "views": ("rings-view", "data"), "told": ("rings-view-told", "children"), "kinds": ("rings-typology", "data"),
    "nothing": ("rings-empty", "children"), "hidden": ("rings-box", "hidden"), "asked": ("rings-asked", "data"),
}  # fmt: skip
_CELL_OF_VERDICT = {"function": "params.data.verdict ? {component: 'RingVerdict'} : undefined"}  # most have none
_KEPT: dict[str, Any] = {"persistence": True, "persistence_type": "session"}


def layout(desk: Desk, /, ring: str = "", **_query: str) -> Any:
    """Return the list, or the page of one ring."""
    if Shows.RINGS not in shows(desk.user):
        raise ForbiddenError
    if not ring:
        return _list(desk)
    one = one_ring(desk, ring)
    return screen(desk, one) if one else nothing(say("rings.missing"), say("rings.missing_next"))


PAGE = Page("/rings", "rings.title", Action.SEE_RINGS, layout, icon="rings", below="ring")


def _list(desk: Desk) -> Any:
    """Return the list with its rows: a browser that kept filters asks for its own at once."""
    first = _shown(desk, Filters(order=_orders(desk)[0]))
    return html.Div(
        [
            html.H1(say("rings.title"), className="cg-title"),
            html.P(first["lead"], id="rings-lead", className="cg-lead"),
            dmc.SegmentedControl(
                id="rings-view", value="queue", data=first["views"], size="sm", className="rg-views", **_KEPT,
                **named(say("rings.view")),
            ),
            html.P(first["told"], id="rings-view-told", className="rg-note"),
            _controls(desk, first["kinds"]),
            html.Div(
                [
                    html.P(first["count"], id="rings-count", className="rg-count", role="status"),
                    _export(desk, first["asked"]),
                ],
                className="rg-countbar",
            ),
            html.Div(first["nothing"], id="rings-empty"),
            html.Div(_table(desk, first["rows"]), id="rings-box", className="rg-box", hidden=first["hidden"]),
            dcc.Store(id="rings-asked", data=first["asked"]),
        ],
        className="rg",
    )  # fmt: skip


def _shown(desk: Desk, wanted: Filters) -> dict[str, Any]:
    """Return what the list shows for some filters, by the names of `_SHOWN`; that it was seen is noted."""
    known = known_rings(desk)
    found = known.listing(wanted)
    desk.record(Action.SEE_RINGS, f"list of {min(len(found.entries), SHOWN_ROWS)} rings")
    views = [
        {"value": view, "label": say("rings.view_told", view=say(f"rings.view.{view}"), number=found.counts[view])}
        for view in VIEWS
    ]
    kinds = sorted({entry.ring.typology for entry in known.entries if entry.ring.typology})
    told = f"told.{wanted.view}"
    if wanted.view == "looked" and (known.before is None or known.before.night is None):
        told = "told.looked_never"
    before = known.before
    at, looked = (before.at, before.night) if before else (None, None)
    return {
        "rows": [row(desk.user, entry, known.night) for entry in found.entries[:SHOWN_ROWS]],
        "count": _counted(found), "lead": say("rings.lead", night=known.night), "views": views,
        "told": say(f"rings.{told}", night=looked if wanted.view == "looked" else known.night, at=at),
        "kinds": [{"value": kind, "label": typology_word(kind)} for kind in kinds],
        "nothing": _nothing(found, wanted), "hidden": not found.entries,
        "asked": wanted.model_dump(mode="json") | {"count": len(found.entries)},
    }  # fmt: skip


def _orders(desk: Desk) -> list[str]:
    return [name for name in ORDERS if Shows.SCORES in shows(desk.user) or name == "newest"]


def _controls(desk: Desk, kinds: list[dict[str, str]]) -> Any:
    orders = _orders(desk)
    statuses = [
        {"value": status, "label": say(f"rings.status.{status}")} for status in STATUSES if status != "dissolved"
    ]
    small: dict[str, Any] = {"size": "xs", **_KEPT}
    score = dmc.NumberInput(
        id="rings-min_score", label=say("rings.filter.score"), min=0, max=1, step=0.05, decimalScale=2, w=110,
        debounce=300, **small,
    )  # fmt: skip
    return html.Div(
        [
            dmc.Select(
                id="rings-order", label=say("rings.order"), value=orders[0], allowDeselect=False, w=150, **small,
                data=[{"value": name, "label": say(f"rings.order.{name}")} for name in orders],
            ),
            dmc.MultiSelect(
                id="rings-typology", label=say("rings.filter.typology"), data=kinds, value=[], searchable=True,
                clearable=True, w=210, **small,
            ),
            dmc.MultiSelect(
                id="rings-status", label=say("rings.filter.status"), data=statuses, value=[], clearable=True, w=150,
                **small,
            ),
            html.Div(score, hidden=Shows.SCORES not in shows(desk.user)),
            dmc.NumberInput(id="rings-min_size", label=say("rings.filter.size"), min=0, step=1, w=110, **small),
            dmc.TextInput(
                id="rings-text", label=say("rings.filter.text"), placeholder=say("rings.filter.text_hint"),
                debounce=300, w=190, **small,
            ),
            dmc.Button(say("rings.clear"), id="rings-clear", variant="default", size="xs"),
        ],
        className="rg-filters", role="search", **named(say("rings.filters")),
    )  # fmt: skip


def _export(desk: Desk, asked: Any) -> Any:
    if not desk.may(Action.EXPORT_RINGS).allowed:
        return None
    told, too_many = _export_told(asked)
    form = [
        html.P(told, id="rings-export-told", className="rg-note"),
        dmc.TextInput(
            id="rings-purpose", label=say("rings.export_purpose"), description=say("rings.export_purpose_hint"),
            size="xs",
        ),
        dmc.Button(say("rings.export_go"), id="rings-export-go", size="xs", mt=8, disabled=too_many),
        html.P(id="rings-export-why", className="rg-warn", role="status"),
    ]  # fmt: skip
    opener = html.Summary(say("rings.export"), id="rings-export", className="rg-button")
    return html.Details([opener, html.Div(form, className="cg-card rg-pop")], className="rg-export")


def _export_told(asked: Any) -> tuple[str, bool]:
    """Return how many rows a file would have, and whether there can be none."""
    count = int((asked or {}).get("count", 0))
    if count > EXPORT_ROWS:
        return say("rings.export_too_many", count=count, limit=EXPORT_ROWS), True
    return say("rings.export_told", count=count, limit=EXPORT_ROWS), not count


def _table(desk: Desk, rows: list[dict[str, Any]]) -> Any:
    seen = shows(desk.user)

    def column(name: str, width: int, value: str | None = None, **more: Any) -> dict[str, Any]:
        text = f"params.data.{value}_text" if value else f"params.data.{name}"
        return {
            "colId": name, "headerName": say(f"rings.column.{name}"), "field": value or name, "minWidth": width,
            "flex": width, "valueFormatter": {"function": text}, **more,
        }  # fmt: skip

    number: dict[str, Any] = {"type": "rightAligned", "sortingOrder": ["desc", "asc", None]}
    columns = [
        column("ring", 125, cellRenderer="RingName", sortable=False),
        column("typology", 150),
        column("status", 96, cellClassRules={"rg-fresh": "params.data.fresh"}),
        *([column("score", 76, "score", **number)] if Shows.SCORES in seen else []),
        column("size", 94, "size", **number),
        *([column("exposure", 134, "exposure", **number)] if Shows.MONEY in seen else []),
        column("newest", 160, "newest", sortingOrder=["desc", "asc", None]),
        column("verdict", 118, "verdict", cellRendererSelector=_CELL_OF_VERDICT),
        column("by", 74),
    ]
    columns[0]["field"] = "name"
    return dag.AgGrid(
        id="rings-table", rowData=rows, columnDefs=columns, getRowId="params.data.id",
        className="ag-theme-quartz cg-grid",
        defaultColDef={"sortable": True, "resizable": True, "suppressHeaderMenuButton": True},
        dashGridOptions={
            "ensureDomOrder": True, "animateRows": False, "rowBuffer": 4, "rowHeight": 34, "headerHeight": 34,
            "enableCellTextSelection": True,
        },
        style={"height": "100%", "width": "100%"}, dangerously_allow_code=False,
    )  # fmt: skip


def register(desk: Desk) -> None:
    """Register what the list and the page of a ring answer."""

    @desk.callback(
        Action.SEE_RINGS,
        *(Output(id, part) for id, part in _SHOWN.values()),
        *(Input(f"rings-{name}", "value") for name in _FILTERS),
        State("rings-asked", "data"),
    )
    def show(*values: Any) -> tuple[Any, ...]:
        given = {name: value for name, value in zip(_FILTERS, values[:-1], strict=True) if value not in (None, "")}
        wanted = filters(given)
        if not ctx.triggered_id and values[-1] and wanted == _asked(values[-1]):
            return (no_update,) * len(_SHOWN)  # the page came with it
        found = _shown(desk, wanted)
        return tuple(found[name] for name in _SHOWN)

    @desk.callback(
        Action.USE,
        *(Output(f"rings-{name}", "value") for name in ("typology", "status", "min_score", "min_size", "text")),
        Input("rings-clear", "n_clicks"),
        prevent_initial_call=True,
    )
    def clear(_clicks: int | None) -> tuple[Any, ...]:
        return [], [], "", "", ""

    @desk.callback(
        Action.EXPORT_RINGS,
        Output("rings-export-told", "children"),
        Output("rings-export-go", "disabled"),
        Input("rings-asked", "data"),
    )
    def tell_export(given: Any) -> tuple[str, bool]:
        return _export_told(given)

    @desk.route(Action.EXPORT_RINGS, "/rings.csv", methods=("POST",))
    def export() -> Response:
        given = request.get_json(silent=True)
        given = dict(given) if isinstance(given, dict) else {}
        purpose = str(given.pop("purpose", "") or "").strip()[:PURPOSE_LENGTH]
        if not purpose:
            raise AskedWronglyError(say("rings.export_purpose_missing"))
        found = known_rings(desk).listing(_asked(given)).entries
        if len(found) > EXPORT_ROWS:
            raise AskedWronglyError(say("rings.export_too_many", count=len(found), limit=EXPORT_ROWS))
        ids = " ".join(entry.ring.id for entry in found)
        desk.record(Action.EXPORT_RINGS, f"csv {len(found)} rings: {ids}", purpose)
        named = {"Content-Disposition": "attachment; filename=rings.csv"}
        return Response(as_csv(desk.user, found), mimetype="text/csv", headers=named)

    @desk.callback(
        Action.JUDGE_RINGS,
        Output("rings-stands", "children"),
        Output("rings-take", "hidden"),
        Output("rings-note", "value"),
        Output("rings-seen", "data"),
        Output("rings-judged", "children"),
        *(Input(name, "n_clicks") for name in (*_JUDGE, "rings-withdraw")),
        State("rings-note", "value"),
        State("rings-seen", "data"),
        prevent_initial_call=True,
    )
    def judge(*values: Any) -> tuple[Any, ...]:
        note, seen = str(values[-2] or "").strip(), dict(values[-1] or {})
        chosen = str(ctx.triggered_id or "").removeprefix("rings-judge-")
        if not any(values[:-2]):
            return (no_update,) * 5
        if len(note) > NOTE_LENGTH:
            return (no_update,) * 4 + (say("rings.judge_note_long", limit=NOTE_LENGTH),)
        return _judge(desk, seen, None if chosen == "rings-withdraw" else Verdict(chosen), note)

    @desk.callback(
        Action.CHANGE_SCENES,
        Output("shell-url", "href", allow_duplicate=True),
        Input("rings-open", "n_clicks"),
        State("rings-seen", "data"),
        prevent_initial_call=True,
    )
    def open_canvas(clicks: int | None, seen: Any) -> Any:
        desk.require(Action.SEE_RINGS)
        desk.require(Action.SEE_CANVAS)
        return f"/canvas?scene={_scene(desk, str((seen or {}).get('ring')))}" if clicks else no_update

    desk.clientside(
        ClientsideFunction("rings", "draw"), Output("rings-drawn", "data"), Input("rings-picture", "elements")
    )
    desk.clientside(
        ClientsideFunction("rings", "timeline"), Output("rings-timeline-box", "children"),
        Input("rings-drawn", "data"), State("rings-times", "data"), prevent_initial_call=True,
    )  # fmt: skip
    desk.clientside(
        ClientsideFunction("rings", "export_rows"), Output("rings-export-why", "children"),
        Input("rings-export-go", "n_clicks"), State("rings-asked", "data"), State("rings-purpose", "value"),
        prevent_initial_call=True,
    )  # fmt: skip


def _asked(kept: Any) -> Filters:
    """Return the filters that the browser holds beside the number of rings found."""
    return filters({name: value for name, value in dict(kept).items() if name != "count"})


def _counted(found: Listing) -> str:
    key = "count_more" if len(found.entries) > SHOWN_ROWS else "count"
    return say(f"rings.{key}", shown=len(found.entries), count=found.total, limit=SHOWN_ROWS)


def _nothing(found: Listing, wanted: Filters) -> Any:
    if found.entries:
        return None
    if not found.total:
        return nothing(say("rings.empty"), say("rings.empty_next"))
    key = "empty_queue" if wanted.view == "queue" and not found.counts["queue"] else "empty_filtered"
    return nothing(say(f"rings.{key}"), say(f"rings.{key}_next"))


def _judge(desk: Desk, seen: dict[str, Any], verdict: Verdict | None, note: str) -> tuple[Any, ...]:
    """Write down a verdict, or take the standing one back (None); return what the page shows then."""
    verdicts, ring = Verdicts(desk.store), desk.reader.ring(str(seen.get("ring")))
    if ring is None:
        return (no_update,) * 4 + (say("rings.missing"),)
    told = "judge_taken" if verdict is None else "judge_given"
    standing = seen.get("verdict")
    try:
        if verdict is None:
            desk.record(Action.JUDGE_RINGS, f"{ring.id} taken back")
            verdicts.withdraw(str(standing), ring.id, desk.user.name, desk.now())
        elif evidence_digest(ring) != seen.get("digest"):
            told = "judge_changed"
        else:
            ring = whole(ring, desk.lake)
            ids = " ".join(member.person_id for member in ring.members)
            desk.record(Action.JUDGE_RINGS, f"{ring.id} {verdict}: {ids}")
            verdicts.give(ring, verdict, desk.user.name, desk.now(), note, standing)
    except VerdictMetError:
        told = "judge_met"
    except MembersMissingError:
        told = "judge_members_missing"
    found = verdicts.of(ring.id)
    stands, hidden = said(ring, found)
    now = next((judged.verdict_id for judged in found if judged.ended_at is None), None)
    kept = no_update if told in ("judge_met", "judge_changed", "judge_members_missing") else ""
    return stands, hidden, kept, seen | {"verdict": now}, say(f"rings.{told}")


def _scene(desk: Desk, id: str) -> str:
    """Return the scene with the ring's nodes: the user's own of this night, as they left it, or else a new one."""
    one = one_ring(desk, id)
    if one is None:
        raise GraphError(say("rings.missing"))
    scenes, name = Scenes(desk.store), say("rings.scene_name", name=short_ring(id), night=one.ring.as_of_date)
    if kept := next((scene for scene in scenes.of(desk.user.name) if scene.name == name), None):
        return kept.scene_id
    nodes = [[end.label, end.id, x, y] for end, (x, y) in one.picture.ends]
    edges = [[e.relationship, e.src.label, e.src.id, e.dst.label, e.dst.id] for e in one.picture.drawn]
    content = asked(Content, {"nodes": nodes, "edges": edges, "view": {}})
    desk.record(Action.CHANGE_SCENES, f"scene of {id}")
    return scenes.save(desk.user.name, name, content_to_keep(content)).scene_id
