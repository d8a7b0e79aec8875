"""The canvas: from one node on, layer by layer. The page lays out; the browser's part draws (`assets/canvas*.js`).

Each question of the browser is one call: a store `canvas-ask-…` it writes, a store `canvas-answer-…` it reads.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import dash_ag_grid as dag
import dash_cytoscape as cyto
from dash import ClientsideFunction, Input, Output, dcc, html
from flask import Response, request

from explorer.canvas import answers
from explorer.canvas.answers import Asker
from explorer.canvas.asking import Content, Expand, Export, Named, Picture, Save, Two, asked
from explorer.canvas.elements import node_key, type_word
from explorer.canvas.hubs import Hubs
from explorer.canvas.nights import end_of, night_before
from explorer.canvas.opening import content_to_keep, reopened
from explorer.canvas.people import People
from explorer.canvas.search import Shapes, search, suggest
from explorer.desk import Desk
from explorer.looks import look
from explorer.masking import short
from explorer.pages import Page
from explorer.rights import Action
from explorer.scenes import Scenes
from explorer.words import catalog, language, moment, say
from graph.answers import CursorError, End, GraphError, NodeMissingError, UnknownNameError
from graph.lookup import LookupFailedError

cyto.load_extra_layouts()

EXPORT_ROWS = 10_000
_KINDS: dict[str, Action] = {
    "search": Action.SEE_CANVAS, "suggest": Action.SEE_CANVAS, "menu": Action.SEE_CANVAS,
    "expand": Action.SEE_CANVAS, "paths": Action.SEE_CANVAS, "common": Action.SEE_CANVAS,
    "since": Action.SEE_CANVAS, "save": Action.CHANGE_SCENES, "scenes": Action.OPEN_SCENES,
    "open": Action.OPEN_SCENES, "png": Action.EXPORT_CANVAS,
}  # fmt: skip
# What a person did wrong is told where they did it; whatever else fails, the shell tells.
_TOLD = (LookupFailedError, NodeMissingError, UnknownNameError, CursorError)
Answer = dict[str, Any]


def layout(desk: Desk, /, scene: str = "", node: str = "", **_query: str) -> Any:
    """Return the page: empty, with a scene to open, or with one node (`node=Phone:tel_…`) to begin from."""
    start: Answer = {
        "words": catalog(language(), "canvas"), "language": language(), "limits": {"rows": EXPORT_ROWS},
        "scene": scene or None, "node": _begin(node), "may_make_case": desk.may(Action.CHANGE_CASES).allowed,
    }  # fmt: skip
    stores = [dcc.Store(id=f"canvas-{way}-{kind}") for kind in _KINDS for way in ("ask", "answer")]
    return html.Div(
        [
            html.H1(say("canvas.title"), className="cv-title"),
            html.Aside(id="canvas-legend", className="cv-legend", **_aria(say("canvas.legend"))),
            html.Section(
                [
                    html.Div(
                        id="canvas-tools", className="cv-tools", role="toolbar", **_aria(say("canvas.tools"))
                    ),
                    html.Div(_stage(), className="cv-stage"),
                    html.Div(id="canvas-time", className="cv-time"),
                    html.Div(id="canvas-status", className="cv-status", role="status", **_aria(live="polite")),
                ],
                className="cv-middle",
            ),
            html.Aside(id="canvas-inspector", className="cv-inspector", **_aria(say("canvas.inspector"))),
            html.Div(id="canvas-found", className="cv-found"),
            html.Div(cyto.Cytoscape(id="canvas-engine", elements=[], layout={"name": "preset"}), className="cv-engine"),
            dcc.Store(id="canvas-start", data=start), dcc.Store(id="canvas-started"), dcc.Store(id="canvas-picked"),
            *stores,
        ],
        id="canvas", className="cv",
    )  # fmt: skip


def _aria(label: str | None = None, **values: str) -> dict[str, Any]:
    named = {"label": label} if label else {}
    return {f"aria-{name}": value for name, value in {**named, **values}.items()}


def _begin(node: str) -> Answer | None:
    label, colon, id = node.partition(":")
    if not colon:
        return None
    named = asked(Named, {"label": label, "id": id})
    return {"key": node_key(label, named.id), "label": label, "id": named.id, "text": short(named.id)}


def _stage() -> list[Any]:
    seconds = {"valueFormatter": {"function": "canvasDay(params.value)"}, "filter": False}
    picking = {"mode": "singleRow", "enableClickSelection": True, "checkboxes": False}
    options = {"rowSelection": picking, "ensureDomOrder": True, "rowHeight": 28, "headerHeight": 32}
    nodes = ("kind", "name", "links", "marks")
    links: dict[str, Any] = {
        "from": {"flex": 2}, "type": {"flex": 1.4}, "to": {"flex": 2}, "first": seconds, "last": seconds,
        "events": {"flex": 0.8, "filter": False}, "fresh": {"flex": 0.6, "filter": False},
    }  # fmt: skip

    def grid(name: str, columns: dict[str, Any]) -> Any:
        return dag.AgGrid(
            id=f"canvas-{name}", rowData=[], getRowId="params.data.key", className="ag-theme-quartz cg-grid cv-grid",
            columnDefs=[
                {"field": key, "headerName": say(f"canvas.column_{key}"), **more} for key, more in columns.items()
            ],
            defaultColDef={"sortable": True, "filter": True, "resizable": True, "flex": 1, "minWidth": 70},
            dashGridOptions=options, dangerously_allow_code=False,
        )  # fmt: skip

    return [
        html.Div(
            id="canvas-graph", className="cv-graph", tabIndex=0, role="application",
            **_aria(say("canvas.drawing")),
        ),
        html.Canvas(id="canvas-lasso", className="cv-lasso", hidden=True),
        html.Div([html.Strong(say("canvas.empty")), html.P(say("canvas.empty_next"))], id="canvas-empty"),
        html.Div(
            [html.H2(say("canvas.nodes")), grid("nodes", {key: {} for key in nodes}),
             html.H2(say("canvas.links")), grid("links", links)],
            className="cv-tables",
        ),
    ]  # fmt: skip


PAGE = Page("/canvas", "canvas.title", Action.SEE_CANVAS, layout, icon="canvas")


def register(desk: Desk) -> None:
    """Register the questions of the canvas, its export, and what runs in the browser."""
    hubs, people, scenes = Hubs(desk.lake.results("hubs")), People(desk.lake), Scenes(desk.store)
    shapes = Shapes(lambda: desk.reader)

    def asker() -> Asker:
        return Asker(desk.user, desk.reader, hubs.known())

    def answers_to(kind: str) -> Callable[[Callable[[Answer], Answer]], None]:
        """Register the answer to a kind of question; what a person did wrong comes back as a sentence."""

        def register(function: Callable[[Answer], Answer]) -> None:
            out, into = Output(f"canvas-answer-{kind}", "data"), Input(f"canvas-ask-{kind}", "data")

            @desk.callback(_KINDS[kind], out, into, prevent_initial_call=True)
            def answer(data: Any) -> Answer:
                given = dict(data) if isinstance(data, dict) else {}
                number = given.pop("n", None)
                given.pop("again", None)  # set where the same is asked once more
                try:
                    found = function(given)
                except _TOLD as error:
                    found = {"sentence": _sentence(error)}
                return {"n": number if isinstance(number, int) else 0, **found}

        return register

    def shown(action: Action, what: str, found: Answer, purpose: str = "") -> Answer:
        desk.record(action, f"{what} {answers.ids_of(found)}".strip(), purpose)
        return found

    @answers_to("search")
    def find(given: Answer) -> Answer:
        text = str(given.get("text") or "")
        found = search(text, desk.reader, desk.keys, people, shapes)
        nodes = answers.found_nodes(asker(), [End(node.label, node.id) for node in found.nodes])
        desk.record(Action.SEE_CANVAS, " ".join(["search", *(node["id"] for node in nodes)]))
        return {
            "found": nodes,
            "sentence": say("canvas.found", count=len(nodes)) if nodes else say("canvas.found_none"),
        }

    @answers_to("suggest")
    def begin(given: Answer) -> Answer:
        nodes = answers.found_nodes(asker(), suggest(str(given.get("text") or ""), desk.reader, shapes))
        desk.record(Action.SEE_CANVAS, " ".join(["suggest", *(node["id"] for node in nodes)]))
        return {"found": nodes}

    @answers_to("menu")
    def tell(given: Answer) -> Answer:
        named = asked(Named, given)
        desk.record(Action.SEE_CANVAS, f"menu {named.label} {_safe(named)}")
        return {"menu": answers.menu(asker(), named)}

    @answers_to("expand")
    def expand(given: Answer) -> Answer:
        ask = asked(Expand, {key: value for key, value in given.items() if value is not None})
        found = answers.expand(asker(), ask)
        names = " ".join(f"{named.label} {_safe(named)}" for named in ask.nodes)
        return shown(Action.SEE_CANVAS, f"expand {names}:", found)

    @answers_to("paths")
    def paths(given: Answer) -> Answer:
        found, sentence = answers.paths(asker(), asked(Two, given))
        return shown(Action.SEE_CANVAS, "paths", found) | {"sentence": sentence}

    @answers_to("common")
    def common(given: Answer) -> Answer:
        found, sentence = answers.common(asker(), asked(Two, given))
        return shown(Action.SEE_CANVAS, "common", found) | {"sentence": sentence}

    @answers_to("since")
    def since(given: Answer) -> Answer:
        night = desk.reader.night()
        if night is None:
            return {"at": None, "sentence": say("canvas.no_night")}
        before = look(desk.store, desk.user.name, night, desk.now())
        if given.get("which") == "night":
            earlier = night_before(desk.lake.results("night_report"), night)
            return {
                "at": answers.written_at(end_of(earlier)),
                "sentence": say("canvas.since_night_told", night=earlier),
            }
        if before is None or before.night is None:
            return {"at": None, "sentence": say("canvas.since_looked_never")}
        told = say("canvas.since_looked_told", at=before.at, night=before.night)
        return {"at": answers.written_at(end_of(before.night)), "sentence": told}

    @answers_to("save")
    def save(given: Answer) -> Answer:
        ask = asked(Save, given)
        name = ask.name.strip() or say("canvas.scene_unnamed", at=desk.now())
        kept = scenes.save(desk.user.name, name, content_to_keep(ask.content), scene_id=ask.scene, base=ask.version)
        desk.record(Action.CHANGE_SCENES, f"scene {kept.scene_id} version {kept.version}")
        key = "saved_beside" if kept.copied else "saved"
        return {"scene": kept.scene_id, "version": kept.version, "sentence": say(f"canvas.{key}", version=kept.version)}

    @answers_to("scenes")
    def mine(_given: Answer) -> Answer:
        found = scenes.of(desk.user.name)
        return {
            "scenes": [
                {"id": one.scene_id, "name": one.name,
                 "told": say("canvas.scene_told", version=one.version, at=moment(one.saved_at))}
                for one in found
            ]
        }  # fmt: skip

    @answers_to("open")
    def open_scene(given: Answer) -> Answer:
        scene = scenes.read(str(given.get("scene") or ""))
        if scene is None:
            return {"sentence": say("canvas.scene_missing")}
        found = reopened(desk.user, asked(Content, scene.content), desk.reader, hubs.known())
        shown(Action.OPEN_SCENES, f"scene {scene.scene_id} version {scene.version}:", found)
        nodes, links = found["gone"]
        key = "scene_opened_less" if nodes or links else "scene_opened"
        told = say(f"canvas.{key}", name=scene.name, version=scene.version, at=scene.saved_at, nodes=nodes, links=links)
        return found | {"scene": scene.scene_id, "version": scene.version, "name": scene.name, "told": told}

    @answers_to("png")
    def png(given: Answer) -> Answer:
        ask = asked(Picture, given)
        ids = " ".join(_safe(named) for named in ask.nodes if named.label in ("Person", "Company"))
        desk.record(Action.EXPORT_CANVAS, f"png {ids}".strip(), ask.purpose)
        return {"mark": say("canvas.mark", user=desk.user.name, at=desk.now(), purpose=ask.purpose)}

    @desk.route(Action.EXPORT_CANVAS, "/canvas/links.csv", methods=("POST",))
    def links_csv() -> Response:
        ask = asked(Export, request.get_json(silent=True))
        if len(ask.edges) > EXPORT_ROWS:
            raise GraphError(say("canvas.csv_too_many", count=len(ask.edges), limit=EXPORT_ROWS))
        _, edges = desk.reader.gather([], [(t, (a.value, src), (b.value, dst)) for t, a, src, b, dst in ask.edges])
        who = asker()
        found = who.picture(edges)
        shown(Action.EXPORT_CANVAS, f"csv {len(found['edges'])} links:", found, ask.purpose)
        return Response(
            _csv(found), mimetype="text/csv", headers={"Content-Disposition": "attachment; filename=links.csv"}
        )

    for kind in _KINDS:
        desk.clientside(
            ClientsideFunction("canvas", f"answer_{kind}"), Output(f"canvas-answer-{kind}", "modified_timestamp"),
            Input(f"canvas-answer-{kind}", "data"), prevent_initial_call=True,
        )  # fmt: skip
    desk.clientside(
        ClientsideFunction("canvas", "start"), Output("canvas-started", "data"), Input("canvas-start", "data")
    )
    for grid in ("nodes", "links"):
        desk.clientside(
            ClientsideFunction("canvas", "pick"), Output("canvas-picked", "data", allow_duplicate=True),
            Input(f"canvas-{grid}", "selectedRows"), prevent_initial_call=True,
        )  # fmt: skip


def _safe(named: Named) -> str:
    """Return an id fit for the audit log, which must not hold what may be a plain value."""
    return named.id if named.id.isascii() and named.id.replace("_", "").replace("-", "").isalnum() else "…"


def _sentence(error: GraphError) -> str:
    if isinstance(error, LookupFailedError):
        return say("canvas.lookup_failed", why=str(error))
    if isinstance(error, NodeMissingError):
        return say("canvas.node_missing")
    return say("canvas.asked_wrongly")


def _csv(found: Answer) -> str:
    """Return the links as CSV with a mark of UTF-8, so that a spreadsheet reads it; no cell begins a formula."""
    names = {node["key"]: (node["label"], node["text"]) for node in found["nodes"]}
    out = io.StringIO("﻿")
    out.seek(0, io.SEEK_END)
    writer = csv.writer(out)
    columns = ("from_kind", "from", "type", "to_kind", "to", "first", "last", "events")
    writer.writerow([say(f"canvas.column_{name}") for name in columns])
    for edge in found["edges"]:
        days = [_day(edge[name]) for name in ("first", "last")]
        cells = [*names[edge["source"]], type_word(edge["type"]), *names[edge["target"]], *days, edge["count"]]
        writer.writerow([f"'{cell}" if str(cell).startswith(tuple("=+-@\t\r")) else cell for cell in cells])
    return out.getvalue()


def _day(seconds: int | None) -> str:
    import datetime as dt

    return "" if seconds is None else f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%d %H:%M:%S}"
