"""Compliance: who saw whom and why, whether the log is whole, which rules ruled, and what can be erased.

Whoever looks here is looked at too: each search, page and export has its own line in the log, before its answer.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import Any

import dash_mantine_components as dmc
import pyarrow as pa
from dash import Input, Output, State, ctx, dcc, html, no_update
from deltalake import DeltaTable
from pydantic import ValidationError

from algorithms.contact.settings import QueueSettings
from explorer.canvas.people import People
from explorer.compliance import view
from explorer.compliance.chain import ChainWatch
from explorer.compliance.settings_seen import files, history, names, note
from explorer.compliance.wanted import KINDS, Wanted, ids
from explorer.desk import Desk
from explorer.pages import Page
from explorer.parts import card
from explorer.rights import Action
from explorer.words import language, say
from graph.audit import AuditEntry
from graph.lake import Lake, has_table

PAGE_ROWS = 50
EXPORT_ROWS = 50_000
_PURPOSE_LENGTH = 200
_COLUMNS = ("seq", "at", "user", "action", "object", "purpose", "previous_hash", "hash")


def layout(desk: Desk, /, **_query: str) -> Any:
    """Return the page with the newest lines of the log."""
    body, told, state, more = _page(desk, Wanted(head=desk.audit.head()))
    tabs = [
        ("audit", [_filters(), _results(body, told, more)]),
        ("settings", _settings(desk)),
        ("erase", [view.erasure()]),
    ]
    return html.Div(
        [
            html.Div(
                [html.Div([html.H1(say("compliance.title"), className="cg-title"),
                           html.P(say("compliance.lead_in"), className="cg-lead")]),
                 html.Div([html.Div(say("compliance.chain_walking"), id="compliance-chain", role="status"),
                           html.Button(say("compliance.walk"), id="compliance-walk", type="button",
                                       className="pt-button")], className="cp-chain")],
                className="pt-top",
            ),
            dcc.Store(id="compliance-state", data=state),
            dcc.Download(id="compliance-file"),
            dmc.Tabs(
                [dmc.TabsList([dmc.TabsTab(say(f"compliance.tab_{name}"), value=name) for name, _ in tabs])]
                + [dmc.TabsPanel(html.Div(parts, className="pt-column"), value=name, pt="sm") for name, parts in tabs],
                value="audit", keepMounted=True,
            ),
        ],
        id="compliance", className="pt-page",
    )  # fmt: skip


PAGE = Page("/compliance", "compliance.title", Action.SEE_COMPLIANCE, layout, icon="compliance")


def register(desk: Desk) -> None:
    """Register the search of the log, its chain, and its export."""
    watch = ChainWatch(desk.audit, desk.store)
    people = People(desk.lake)

    @desk.callback(
        Action.SEE_COMPLIANCE,
        Output("compliance-lines", "children"),
        Output("compliance-told", "children"),
        Output("compliance-state", "data"),
        Output("compliance-older", "disabled"),
        Output("compliance-newer", "disabled"),
        Input("compliance-search", "n_clicks"),
        Input("compliance-older", "n_clicks"),
        Input("compliance-newer", "n_clicks"),
        Input("compliance-object", "n_submit"),
        State("compliance-user", "value"),
        State("compliance-kind", "value"),
        State("compliance-object", "value"),
        State("compliance-since", "value"),
        State("compliance-until", "value"),
        State("compliance-state", "data"),
        prevent_initial_call=True,
    )
    def look(
        _search: Any, _older: Any, _newer: Any, _enter: Any, user: Any, kind: Any, text: Any, since: Any, until: Any,
        state: Any,
    ) -> Any:  # fmt: skip
        try:
            kept = Wanted.model_validate(state or {})
            if ctx.triggered_id == "compliance-older":
                wanted = kept
            elif ctx.triggered_id == "compliance-newer":
                wanted = kept.model_copy(update={"before": kept.before[:-2]})
            else:
                typed = str(text or "").strip()
                wanted = Wanted(
                    user=str(user or "").strip(), kind=str(kind or "all"), named=bool(typed),
                    objects=ids(typed, desk.keys, people) if typed else (), since=since or None, until=until or None,
                    head=desk.audit.head(),
                )  # fmt: skip
        except ValidationError:
            desk.record(Action.SEE_COMPLIANCE, "audit not understood")
            return no_update, say("compliance.asked_wrongly"), no_update, no_update, no_update
        desk.record(Action.SEE_COMPLIANCE, wanted.told())
        body, told, now, more = _page(desk, wanted)
        return body, told, now, not more, len(now["before"]) < 2

    @desk.callback(
        Action.SEE_COMPLIANCE, Output("compliance-chain", "children"), Input("compliance-walk", "n_clicks"),
        audit=lambda _clicks: "audit chain",
        running=[(Output("compliance-walk", "disabled"), True, False)],
    )  # fmt: skip
    def walk(clicks: int | None) -> Any:
        return view.chain(watch.look(desk.now(), whole=bool(clicks)))

    @desk.callback(
        Action.EXPORT_COMPLIANCE,
        Output("compliance-file", "data"),
        Output("compliance-exported", "children"),
        Input("compliance-export", "n_clicks"),
        State("compliance-purpose", "value"),
        State("compliance-state", "data"),
        prevent_initial_call=True,
    )
    def export(clicks: int | None, purpose: Any, state: Any) -> Any:
        purpose = str(purpose or "").strip()[:_PURPOSE_LENGTH]
        try:
            wanted = Wanted.model_validate({**(state or {}), "before": ()})
        except ValidationError:
            wanted = None
        if not clicks or not purpose or wanted is None:
            desk.record(Action.EXPORT_COMPLIANCE, "refused")
            return no_update, say("compliance.asked_wrongly" if wanted is None else "compliance.purpose_missing")
        search = wanted.search(desk.zone, desk.audit.actions())
        count = desk.audit.count(search) if search else 0
        if search is None or not 0 < count <= EXPORT_ROWS:
            desk.record(Action.EXPORT_COMPLIANCE, f"refused {count} rows: {wanted.told()}", purpose)
            key = "compliance.export_too_many" if count else "compliance.export_nothing"
            return no_update, say(key, count=count, limit=EXPORT_ROWS)
        desk.record(Action.EXPORT_COMPLIANCE, f"csv {count} rows: {wanted.told()}", purpose)
        content = _csv(entry for page in desk.audit.pages(search) for entry in page)
        name = f"audit-{desk.now():%Y%m%d-%H%M}.csv"
        return {"content": content, "filename": name, "type": "text/csv"}, say("compliance.exported", count=count)


def _page(desk: Desk, wanted: Wanted) -> tuple[Any, str, dict[str, Any], bool]:
    """Return a page of the log, a sentence of where it is, what the browser keeps, and whether there is more."""
    search = wanted.search(desk.zone, desk.audit.actions())
    total = desk.audit.count(search) if search else 0
    before = wanted.before[-1] if wanted.before else None
    found = desk.audit.found(search, before, PAGE_ROWS + 1) if search else []
    shown, more = found[:PAGE_ROWS], len(found) > PAGE_ROWS
    first = PAGE_ROWS * len(wanted.before) + 1
    told = say("compliance.shown", first=first, last=first + len(shown) - 1, count=total) if shown else ""
    # The list ends with where the next page begins, so that `older` goes there and `newer` drops two.
    ahead = (*wanted.before, shown[-1].seq if shown else 0)
    state = wanted.model_dump(mode="json") | {"before": list(ahead)}
    return view.lines(shown), told, state, more


def _filters() -> Any:
    text: Any = {"size": "sm", "w": 190}
    fields = [
        dmc.TextInput(id="compliance-object", label=say("compliance.object"), placeholder=say("compliance.object_hint"),
                      **{**text, "w": 280}),
        dmc.TextInput(id="compliance-user", label=say("compliance.user"), **text),
        dmc.Select(id="compliance-kind", label=say("compliance.kind"), value="all", allowDeselect=False, **text,
                   data=[{"value": kind, "label": say(f"compliance.kind_{kind}")} for kind in KINDS]),
        dmc.DateInput(id="compliance-since", label=say("compliance.since"), valueFormat="YYYY-MM-DD", clearable=True,
                      placeholder=say("compliance.day_hint"), **{**text, "w": 150}),
        dmc.DateInput(id="compliance-until", label=say("compliance.until"), valueFormat="YYYY-MM-DD", clearable=True,
                      placeholder=say("compliance.day_hint"), **{**text, "w": 150}),
        html.Button(say("compliance.search"), id="compliance-search", type="button", className="pt-button pt-strong"),
    ]  # fmt: skip
    zh = {"locale": "zh-cn"} if language() == "zh" else {"locale": "en"}
    return card(
        say("compliance.filters"), dmc.DatesProvider(html.Div(fields, className="cp-fields"), settings=zh),
        html.P(say("compliance.object_told"), className="pt-quiet"),
    )  # fmt: skip


def _results(body: Any, told: str, more: bool) -> Any:
    turning = [
        html.Button(
            say("compliance.newer"), id="compliance-newer", type="button", className="pt-button", disabled=True
        ),
        html.Button(
            say("compliance.older"), id="compliance-older", type="button", className="pt-button", disabled=not more
        ),
    ]
    export = html.Div(
        [
            dmc.TextInput(id="compliance-purpose", placeholder=say("compliance.purpose"), size="sm", w=280,
                          **{"aria-label": say("compliance.purpose")}),
            html.Button(say("compliance.export"), id="compliance-export", type="button", className="pt-button"),
            html.Span(say("compliance.export_limit", limit=EXPORT_ROWS), className="pt-quiet"),
            html.Span(id="compliance-exported", role="status"),
        ],
        className="cp-export",
    )  # fmt: skip
    head = html.Div([html.Span(told, id="compliance-told", role="status"), *turning], className="cp-turning")
    return card(say("compliance.lines"), export, html.Div(body, id="compliance-lines"), more=head)


def _settings(desk: Desk) -> list[Any]:
    policies = QueueSettings().policies
    note(desk.store, files(policies), desk.now())
    return view.settings(history(desk.store), names(policies), _nights(desk.lake))


def _nights(lake: Lake) -> list[tuple[dt.date, int]]:
    """Return the nights with the version of the ring rules they ran with, the newest first."""
    path = lake.results("ring_rules")
    if not has_table(path):
        return []
    rows = DeltaTable(path).to_pyarrow_dataset().to_table(columns=["as_of_date", "rules_version"])
    found = pa.Table.group_by(rows, ["as_of_date", "rules_version"]).aggregate([]).to_pylist()
    return sorted(((row["as_of_date"], row["rules_version"]) for row in found), reverse=True)


def _csv(entries: Any) -> str:
    """Return lines as CSV with a mark of UTF-8, so that a spreadsheet reads it; no cell begins a formula."""
    out = io.StringIO("\ufeff")
    out.seek(0, io.SEEK_END)
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for entry in entries:
        writer.writerow([_cell(entry, name) for name in _COLUMNS])
    return out.getvalue()


def _cell(entry: AuditEntry, name: str) -> str:
    text = str(getattr(entry, name))
    return f"'{text}" if text[:1] in "=+-@\t\r" and text else text
