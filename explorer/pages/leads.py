"""Leads for collections: the next one large, its number for a purpose, how the call ended, and so on to the next.

Everything goes through `algorithms.contact.queue.Queue`, which asks the gate in the transaction that opens a call.
What may protect somebody (an outcome, a number put on the do-not-contact list) is written first and logged after it;
what shows something is logged first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dash import Input, Output, dcc, html, no_update

from algorithms.contact.gate import Outcome
from algorithms.contact.payload import Call
from algorithms.contact.queue import Queue, QueueError
from algorithms.contact.settings import QueueSettings
from algorithms.contact.standing import Terms
from algorithms.contact.store import Store
from algorithms.contact.suppression import Reason
from explorer.desk import Desk
from explorer.leads.board import board
from explorer.leads.sentences import refusal, told
from explorer.leads.view import OUTCOMES, PURPOSE_LENGTH, REASONS, click, screen
from explorer.pages import Page
from explorer.rights import Action, Role
from explorer.words import say
from graph.vault import VaultError

_KINDS: dict[str, Action] = {
    "look": Action.SEE_LEADS, "again": Action.SEE_LEADS, "open": Action.CALL, "tell": Action.CALL, "bar": Action.CALL,
    "give": Action.ASSIGN_LEADS,
}  # fmt: skip
Asked = dict[str, str]
Answer = tuple[Any, str]


def layout(desk: Desk, /, lead: str = "", **_query: str) -> Any:
    """Return the page with the collector's open call, the lead asked for, or the next one."""
    body, note = _answer(desk, lambda: "", chosen=lead or None)
    return html.Div(
        [
            html.Div(
                [
                    html.Div([html.H1(say("leads.title"), className="cg-title"),
                              html.P(say("leads.lead_in"), className="cg-lead")]),
                    html.Button(say("leads.again"), type="button", className="ld-chip", **click("again")),
                ],
                className="ld-top",
            ),
            html.Div(note, id="leads-note", className="ld-note", role="status"),
            html.Div(body, id="leads-body", className="ld-body"),
            *[dcc.Store(id=f"leads-ask-{kind}") for kind in _KINDS],
        ],
        id="leads", className="ld",
    )  # fmt: skip


PAGE = Page("/leads", "leads.title", Action.SEE_LEADS, layout, icon="leads")


def register(desk: Desk) -> None:
    """Register what a collector does: look, open, tell, bar, hand over."""
    desk.server.extensions["leads"] = (Store(desk.url), Terms(QueueSettings().in_force(), desk.zone))

    def asked(kind: str) -> Callable[[Callable[[Asked], Answer]], None]:
        """Register the answer to a kind of click; the screen comes back whole, with a sentence above it."""

        def register(function: Callable[[Asked], Answer]) -> None:
            @desk.callback(
                _KINDS[kind],
                Output("leads-body", "children", allow_duplicate=True),
                Output("leads-note", "children", allow_duplicate=True),
                Input(f"leads-ask-{kind}", "data"),
                prevent_initial_call=True,
                running=[(Output("leads-body", "className"), "ld-body ld-busy", "ld-body")],
            )
            def answer(data: Any) -> Any:
                if not isinstance(data, dict):
                    return no_update, no_update
                return function({str(name): str(value) for name, value in data.items()})

        return register

    @asked("look")
    def look(given: Asked) -> Answer:
        return _answer(desk, lambda: "", chosen=given.get("lead"))

    @asked("again")
    def again(_given: Asked) -> Answer:
        return _answer(desk, lambda: "")

    @asked("open")
    def reveal(given: Asked) -> Answer:
        lead, purpose = given.get("lead", ""), given.get("purpose", "").strip()[:PURPOSE_LENGTH]
        if not purpose:
            return _answer(desk, lambda: say("leads.purpose_missing"), chosen=lead)
        calls: list[Call] = []

        def call() -> str:
            desk.record(Action.CALL, lead, purpose)
            calls.append(_queue(desk).open(lead, desk.user.name, purpose, desk.now()))
            return say("leads.opened")

        return _answer(desk, call, chosen=lead, calls=calls)

    @asked("tell")
    def tell(given: Asked) -> Answer:
        call, outcome = given.get("call", ""), given.get("outcome", "")

        def end() -> str:
            if outcome not in OUTCOMES:
                return say("leads.why_asked_wrongly")
            ended = _queue(desk).outcome(call, Outcome(outcome), desk.user.name, desk.now())
            desk.record(Action.CALL, f"{ended.call_id} {ended.outcome}")
            return told(ended)

        return _answer(desk, end)

    @asked("bar")
    def bar(given: Asked) -> Answer:
        lead, reason = given.get("lead", ""), given.get("reason", "")

        def put() -> str:
            if reason not in REASONS:
                return say("leads.why_asked_wrongly")
            news = _queue(desk).do_not_contact(lead, Reason(reason), desk.user.name, desk.now())
            desk.record("do_not_contact_add", lead, reason)
            return say("leads.barred" if news else "leads.barred_before")

        return _answer(desk, put)

    @asked("give")
    def give(given: Asked) -> Answer:
        lead, to = given.get("lead", ""), given.get("colleague", "")

        def hand_over() -> str:
            if to not in _colleagues(desk):
                return say("leads.no_colleague")
            queue = _queue(desk)
            queue.look(lead, desk.user.name, desk.now())  # another collector's is refused
            desk.record(Action.ASSIGN_LEADS, f"{lead} {to}")
            queue.assign(lead, to, desk.user.name, desk.now())
            return say("leads.given", name=to)

        return _answer(desk, hand_over)


def _answer(desk: Desk, do: Callable[[], str], chosen: str | None = None, calls: list[Call] | None = None) -> Answer:
    """Do something, then return the screen as it is after it and what to say; a refusal of the queue is said too."""
    try:
        note = do()
    except QueueError as error:
        note, calls = refusal(error), None
    except VaultError:
        note, calls = say("leads.why_vault"), None
    now, user, queue = desk.now(), desk.user.name, _queue(desk)
    try:
        found = board(queue, user, now, chosen, calls[0] if calls else None)
    except QueueError as error:
        note = note or refusal(error)
        found = board(queue, user, now)
    desk.record(Action.SEE_LEADS, " ".join(found.lead_ids) or "leads")
    return screen(found, now, _colleagues(desk)), note


def _queue(desk: Desk) -> Queue:
    store, terms = desk.server.extensions["leads"]
    return Queue(store, terms, desk.keys(), desk.vault())


def _colleagues(desk: Desk) -> list[str]:
    """Return the names of the other collectors who may sign in; none where the user may not hand leads over."""
    if not desk.may(Action.ASSIGN_LEADS).allowed:
        return []
    return [
        user.name for user in desk.accounts.all()
        if user.active and Role.COLLECTOR in user.role_names and user.name != desk.user.name
    ]  # fmt: skip
