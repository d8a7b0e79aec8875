"""Cases: the list with the reader's own first, the page of one at `/cases/<id>`, a new one at `/cases/new`."""

from __future__ import annotations

from typing import Any

from dash import ClientsideFunction, Input, Output, State, ctx, no_update
from dash.exceptions import PreventUpdate
from flask import Response, request

from explorer.cases.book import NOTE_LENGTH, Case, Cases
from explorer.cases.doing import CaseError, judge_case, make_case, renew_evidence, save_case
from explorer.cases.history import history, notes
from explorer.cases.known import may_read, opened
from explorer.cases.listing import EXPORT_ROWS, Filters, as_csv, listing, row, subject
from explorer.cases.report import report
from explorer.cases.screens import list_screen, new_screen
from explorer.cases.view import evidence, facts, screen, seen, stands
from explorer.desk import Desk
from explorer.pages import Page
from explorer.rights import Action, Shows, shows
from explorer.rings.verdicts import Verdict, Verdicts
from explorer.shell import nothing
from explorer.words import say

PURPOSE_LENGTH = 200
_JUDGE = tuple(f"cases-judge-{verdict}" for verdict in Verdict)
_NEW = "new"


def layout(desk: Desk, /, case: str = "", ring: str = "", scene: str = "", **_query: str) -> Any:
    """Return the list, the form of a new case on a ring or a scene, or the page of one case."""
    if not case:
        return list_screen(desk)
    if case == _NEW:
        desk.require(Action.CHANGE_CASES)
        return new_screen(desk, ring, scene)
    found = may_read(desk, case)
    return screen(desk, opened(desk, found)) if found else nothing(say("cases.missing"), say("cases.missing_next"))


PAGE = Page("/cases", "cases.title", Action.SEE_CASES, layout, icon="cases", below="case")


def register(desk: Desk) -> None:
    """Register what the list, the form and the page of a case answer."""
    cases = Cases(desk.store)

    @desk.callback(
        Action.SEE_CASES,
        Output("cases-table", "rowData"),
        Output("cases-count", "children"),
        Output("cases-empty", "children"),
        Output("cases-box", "hidden"),
        Output("cases-asked", "data"),
        Input("cases-view", "value"),
        Input("cases-status-filter", "value"),
        Input("cases-text", "value"),
    )
    def show(view: Any, status: Any, text: Any) -> tuple[Any, ...]:
        given = {"view": view, "status": status, "text": text}
        asked = Filters.of(given)
        found, verdicts = listing(desk.user, cases.all(), asked), Verdicts(desk.store).standing()
        desk.record(Action.SEE_CASES, f"list of {len(found)} cases")
        rows = [row(desk.user, case, verdicts.get(subject(case))) for case in found]
        empty = None if rows else nothing(say("cases.empty"), say("cases.empty_next"))
        told = " · ".join((say("cases.count", count=len(rows)), say(f"cases.{asked.view}_told")))
        key = "export_too_many" if len(rows) > EXPORT_ROWS else "export_told"
        export = {"told": say(f"cases.{key}", count=len(rows), limit=EXPORT_ROWS), "full": len(rows) > EXPORT_ROWS}
        return rows, told, empty, not rows, given | {"count": len(rows), "export": export}

    @desk.route(Action.EXPORT_CASES, "/cases.csv", methods=("POST",))
    def export() -> Response:
        given = request.get_json(silent=True)
        given = dict(given) if isinstance(given, dict) else {}
        purpose = str(given.get("purpose") or "").strip()[:PURPOSE_LENGTH]
        if not purpose:
            raise CaseError(say("cases.export_purpose_missing"))
        found = listing(desk.user, cases.all(), Filters.of(given))
        if len(found) > EXPORT_ROWS:
            raise CaseError(say("cases.export_too_many", count=len(found), limit=EXPORT_ROWS))
        ids = " ".join(case.case_id for case in found)
        desk.record(Action.EXPORT_CASES, f"csv {len(found)} cases: {ids}", purpose)
        text = as_csv(desk.user, found, Verdicts(desk.store).standing())
        return Response(text, mimetype="text/csv", headers={"Content-Disposition": "attachment; filename=cases.csv"})

    @desk.route(Action.EXPORT_CASES, "/cases/<case_id>/report")
    def to_print(case_id: str) -> Response:
        case = may_read(desk, case_id, Action.EXPORT_CASES)
        if case is None:
            raise CaseError(say("cases.missing"))
        desk.record(Action.EXPORT_CASES, f"report {case.case_id}", "print")
        return Response(report(desk, opened(desk, case)), mimetype="text/html")

    @desk.callback(
        Action.CHANGE_CASES,
        Output("shell-url", "href", allow_duplicate=True),
        Output("cases-make-told", "children"),
        Input("cases-make", "n_clicks"),
        State("cases-new-title", "value"),
        State("cases-new-note", "value"),
        State("cases-from", "data"),
        prevent_initial_call=True,
        running=[(Output("cases-make", "disabled"), True, False)],
    )
    def make(clicks: int | None, title: Any, note: Any, source: Any) -> tuple[Any, Any]:
        if not clicks:  # its inputs came with the page: nothing was asked for, so nothing is written down
            raise PreventUpdate
        title, note = str(title or "").strip(), str(note or "")
        if not title:
            return no_update, say("cases.title_missing")
        if len(note) > NOTE_LENGTH:
            return no_update, say("cases.note_long", limit=NOTE_LENGTH)
        return f"/cases/{make_case(desk, title, note, dict(source or {})).case_id}", no_update

    @desk.callback(
        Action.CHANGE_CASES,
        Output("cases-seen", "data"),
        Output("cases-told", "children"),
        Output("cases-facts", "children"),
        Output("cases-name", "children"),
        Output("cases-history", "children"),
        Output("cases-evidence", "children"),
        Input("cases-save", "n_clicks"),
        State("cases-seen", "data"),
        State("cases-title", "value"),
        State("cases-status", "value"),
        State("cases-assignee", "value"),
        State("cases-scene", "value"),
        prevent_initial_call=True,
    )
    def save(clicks: int | None, known: Any, *values: Any) -> tuple[Any, ...]:
        case = _mine(desk, known) if clicks else None
        if case is None:
            return (no_update,) * 6
        told = save_case(desk, case, known, *(str(value or "").strip() for value in values))
        return _after(desk, case.case_id, told)

    @desk.callback(
        Action.CHANGE_CASES,
        Output("cases-seen", "data", allow_duplicate=True),
        Output("cases-told", "children", allow_duplicate=True),
        Output("cases-facts", "children", allow_duplicate=True),
        Output("cases-name", "children", allow_duplicate=True),
        Output("cases-history", "children", allow_duplicate=True),
        Output("cases-evidence", "children", allow_duplicate=True),
        Input("cases-renew", "n_clicks"),
        State("cases-seen", "data"),
        prevent_initial_call=True,
    )
    def renew(clicks: int | None, known: Any) -> tuple[Any, ...]:
        case = _mine(desk, known) if clicks else None
        if case is None:
            return (no_update,) * 6
        desk.require(Action.SEE_RINGS)
        return _after(desk, case.case_id, renew_evidence(desk, case, int(known["version"])))

    @desk.callback(
        Action.CHANGE_CASES,
        Output("cases-notes", "children"),
        Output("cases-history", "children", allow_duplicate=True),
        Output("cases-note", "value"),
        Output("cases-note-told", "children"),
        Input("cases-note-add", "n_clicks"),
        State("cases-seen", "data"),
        State("cases-note", "value"),
        prevent_initial_call=True,
    )
    def add_note(clicks: int | None, known: Any, text: Any) -> tuple[Any, ...]:
        case = _mine(desk, known) if clicks else None
        if case is None:
            return (no_update,) * 4
        text = str(text or "").strip()
        if not text or len(text) > NOTE_LENGTH:
            why = say("cases.note_long", limit=NOTE_LENGTH) if text else say("cases.note_empty")
            return no_update, no_update, no_update, why
        desk.record(Action.CHANGE_CASES, f"{case.case_id} note")
        cases.note(case.case_id, text, desk.user.name, desk.now())
        found = cases.history(case.case_id)
        return notes(found), history(found, Shows.RINGS in shows(desk.user)), "", say("cases.note_added")

    @desk.callback(
        Action.JUDGE_RINGS,
        Output("cases-stands", "children"),
        Output("cases-take", "hidden"),
        Output("cases-history", "children", allow_duplicate=True),
        Output("cases-seen", "data", allow_duplicate=True),
        Output("cases-judged", "children"),
        *(Input(name, "n_clicks") for name in (*_JUDGE, "cases-withdraw")),
        State("cases-seen", "data"),
        State("cases-persons", "value"),
        prevent_initial_call=True,
    )
    def judge(*values: Any) -> tuple[Any, ...]:
        known, persons = dict(values[-2] or {}), [str(id) for id in values[-1] or []]
        case = _mine(desk, known) if any(values[:-2]) else None
        if case is None:
            return (no_update,) * 5
        chosen = str(ctx.triggered_id or "").removeprefix("cases-judge-")
        verdict = Verdict(chosen) if chosen in set(Verdict) else None
        told = judge_case(desk, case, known.get("verdict"), verdict, persons)
        now = opened(desk, case)
        # Of the version only what the reader has seen is known: another's change is told when they save.
        after = known | {"verdict": seen(now)["verdict"]}
        return stands(now), now.standing is None, history(now.history, now.sees_rings), after, say(f"cases.{told}")

    desk.clientside(
        ClientsideFunction("cases", "tell_export"), Output("cases-export-told", "children"),
        Output("cases-export-go", "disabled"), Input("cases-asked", "data"),
    )  # fmt: skip
    desk.clientside(
        ClientsideFunction("cases", "export_rows"), Output("cases-export-why", "children"),
        Input("cases-export-go", "n_clicks"), State("cases-asked", "data"), State("cases-purpose", "value"),
        prevent_initial_call=True,
    )  # fmt: skip


def _mine(desk: Desk, known: Any) -> Case | None:
    """Return the case that the browser speaks of, if the user may change it."""
    return may_read(desk, str((known or {}).get("case") or ""), Action.CHANGE_CASES)


def _after(desk: Desk, case_id: str, told: str) -> tuple[Any, ...]:
    case = may_read(desk, case_id)
    assert case is not None, "cases are never deleted"
    now = opened(desk, case)
    return seen(now), told, facts(case), case.title, history(now.history, now.sees_rings), evidence(desk, now)
