"""The collector's screen as components. What is clicked carries `data-leads`; `assets/leads.js` asks the server."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import dash_mantine_components as dmc
from dash import html

from algorithms.contact.gate import Outcome
from algorithms.contact.payload import Call, DebtorLead, Lead, PastCall
from algorithms.contact.queue import Seen, Untold
from algorithms.contact.suppression import Reason
from explorer.leads.board import Board
from explorer.leads.evidence import told
from explorer.leads.sentences import against, capital, clock, number, outcome, route, rule, scripts, to_whom
from explorer.shell import icon, nothing
from explorer.words import moment, money, say

OUTCOMES = (Outcome.RIGHT_PERSON, Outcome.THIRD_PERSON, Outcome.NO_ANSWER, Outcome.REFUSED, Outcome.INVALID_NUMBER)
REASONS = tuple(reason for reason in Reason if reason != Reason.MISTAKE)
PURPOSES = ("purpose_call_back", "purpose_new_number", "purpose_agreed")
PURPOSE_LENGTH = 200
_FOCUS: dict[str, Any] = {"data-focus": "1"}  # where the keys go on after an answer


def named(label: str) -> dict[str, Any]:
    """Return the attribute that names a part to who does not see it."""
    return {"aria-label": label}


def click(kind: str, **more: str) -> dict[str, Any]:
    """Return the attributes of what asks something when it is clicked, and with what."""
    return {"data-leads": kind, **{f"data-{name}": value for name, value in more.items()}}


def screen(found: Board, now: datetime, colleagues: Sequence[str]) -> list[Any]:
    """Return the two columns: what is to be done now, and what comes after it."""
    return [html.Section(_now(found, now, colleagues), className="ld-now"), *_after(found, now)]


def _now(found: Board, now: datetime, colleagues: Sequence[str]) -> list[Any]:
    if found.untold is not None:
        return [*_calling(found, found.untold, now), _history(found.history)]
    if found.shown is None:
        when = say("leads.none_until", at=found.not_before) if found.not_before else say("leads.none_waits")
        return [nothing(say("leads.none"), when)]
    seen = found.shown
    return [
        html.Article(
            [
                _head(seen.lead, now, seen),
                *_why(seen.lead),
                _script(seen.lead),
                _purpose(seen.lead.lead_id) if seen.allowed else _refused(seen),
            ],
            className="cg-card ld-lead", **named(say("leads.lead")),
        ),
        html.Div([_bar(seen.lead), *([_give(seen.lead, colleagues)] if colleagues else [])], className="ld-aside"),
        _history(found.history),
    ]  # fmt: skip


def _calling(found: Board, untold: Untold, now: datetime) -> list[Any]:
    """The call that is open: its number if it was just asked for, and the five ways in which it can have ended."""
    lead = found.shown.lead if found.shown else None
    parts = [_number(found.call, now) if found.call else _unseen(untold, lead, now)]
    if lead is not None:
        parts.append(_script(lead))
        if found.call is None and found.again is not None:
            parts.append(_purpose(lead.lead_id, again=True))
    buttons = [
        html.Button(
            [html.Span([say(f"leads.outcome_{which}"), html.Kbd(str(n))], className="ld-outcome-name"),
             html.Span(say(f"leads.then_{which}"), className="ld-then")],
            className=f"ld-outcome ld-outcome-{which}", type="button",
            **click("tell", call=untold.call_id, outcome=str(which)),
        )
        for n, which in enumerate(OUTCOMES, 1)
    ]  # fmt: skip
    ended = html.Div(
        [html.H2(say("leads.how_ended")), html.Div(buttons, className="ld-outcomes")],
        role="group", **named(say("leads.how_ended")),
    )  # fmt: skip
    return [html.Article([*parts, ended], className="cg-card ld-lead ld-open", **named(say("leads.call")))]


def _number(call: Call, now: datetime) -> Any:
    asked = [html.Span(say("leads.ask_for"), className="ld-quiet"), html.Strong(call.ask_for)] if call.ask_for else []
    return html.Div(
        [
            html.Div([
                html.P(to_whom(call.lead), className="ld-to"),
                html.A(number(call.phone_number), href=f"tel:{call.phone_number}", id="leads-number",
                       className="ld-plain", **_FOCUS),
                html.P(asked, className="ld-ask"),
            ]),
            html.P(say("leads.dial_before", at=clock(call.dial_until, now)), className="ld-until"),
        ],
        className="ld-head",
    )  # fmt: skip


def _unseen(untold: Untold, lead: Lead | None, now: datetime) -> Any:
    named = [html.P(to_whom(lead), className="ld-to"), html.P(lead.number, className="ld-masked")] if lead else []
    sentence = say("leads.untold", at=clock(untold.at, now))
    return html.Div(
        [html.Div(named), html.P(sentence, className="ld-untold", tabIndex=-1, **_FOCUS)],
        className="ld-head",
    )


def _head(lead: Lead, now: datetime, seen: Seen) -> Any:
    until = html.P(say("leads.allowed_until", at=clock(lead.allowed_until, now)), className="ld-until")
    always = html.P(say("leads.allowed"), className="ld-until")
    own = isinstance(lead, DebtorLead)
    return html.Div(
        [
            html.Div([
                html.P([icon("user" if own else "people", 14), to_whom(lead)], className="ld-to"),
                html.P(lead.number, className="ld-masked", **named(say("leads.masked", number=lead.number))),
                html.P(route(lead), className="ld-route"),
            ]),
            (until if lead.allowed_until else always) if seen.allowed else None,
        ],
        className="ld-head",
    )  # fmt: skip


def _why(lead: Lead) -> list[Any]:
    """Return the night's sentences and the loan, on a lead to the person; on any other there is nothing to return."""
    if not isinstance(lead, DebtorLead):
        return []
    facts = [(say("leads.loan"), lead.loan_id), (say("leads.overdue"), money(lead.overdue_cny))]
    return [
        html.Ul([html.Li(told(text)) for text in lead.evidence], className="ld-evidence"),
        html.Dl([html.Div([html.Dt(name), html.Dd(value)]) for name, value in facts], className="cg-facts"),
    ]


def _script(lead: Lead) -> Any:
    mine, other = scripts(lead)
    return html.Div(
        [html.H2(say("leads.script")), html.P(mine), html.P(other, className="ld-quiet")], className="ld-script"
    )


def _purpose(lead_id: str, again: bool = False) -> Any:
    chips = [
        html.Button(say(f"leads.{key}"), type="button", className="ld-chip", **click("purpose")) for key in PURPOSES
    ]
    focus = {} if again else _FOCUS
    return html.Div(
        [
            html.Label(say("leads.purpose"), htmlFor="leads-purpose"),
            html.Div(chips, className="ld-chips"),
            html.Div([
                dmc.TextInput(id="leads-purpose", placeholder=say("leads.purpose_hint"), autoComplete="off",
                              inputProps={"maxLength": PURPOSE_LENGTH}, className="ld-text"),
                dmc.Button(say("leads.show_again" if again else "leads.show"), id="leads-open", color="indigo.8",
                           variant="light" if again else "filled",
                           **click("open", lead=lead_id), **focus),
            ], className="ld-row"),
            html.P(say("leads.purpose_why"), className="ld-quiet"),
        ],
        className="ld-purpose",
    )  # fmt: skip


def _refused(seen: Seen) -> Any:
    return html.P([icon("help"), against(seen)], className="ld-refused", tabIndex=-1, **_FOCUS)


def _choice(id: str, label: str, options: Sequence[tuple[str, str]]) -> Any:
    choices = [html.Option(name, value=value) for value, name in options]
    return html.Div([html.Label(label, htmlFor=id), html.Select(choices, id=id, className="ld-select")])


def _bar(lead: Lead) -> Any:
    reasons = [(str(reason), say(f"leads.reason_{reason}")) for reason in REASONS]
    button = dmc.Button(say("leads.bar_do"), color="red", variant="light", id="leads-bar",
                        **click("bar", lead=lead.lead_id))  # fmt: skip
    return html.Details(
        [
            html.Summary(say("leads.bar")),
            html.P(say("leads.bar_why"), className="ld-quiet"),
            html.Div([_choice("leads-reason", say("leads.reason"), reasons), button], className="ld-row"),
        ],
        className="cg-card",
    )


def _give(lead: Lead, colleagues: Sequence[str]) -> Any:
    button = dmc.Button(say("leads.give_do"), variant="light", id="leads-give",
                        **click("give", lead=lead.lead_id))  # fmt: skip
    names = [(name, name) for name in colleagues]
    return html.Details(
        [
            html.Summary(say("leads.give")),
            html.P(say("leads.give_why"), className="ld-quiet"),
            html.Div([_choice("leads-colleague", say("leads.colleague"), names), button], className="ld-row"),
        ],
        className="cg-card",
    )


def _history(calls: Sequence[PastCall]) -> Any:
    if not calls:
        return html.P(say("leads.no_history"), className="ld-quiet ld-history")
    columns = ("when", "number", "ended", "record")
    rows = [
        (moment(call.at), html.Span(call.number, className="ld-label"), outcome(call.outcome),
         say("leads.made_here" if call.made_here else "leads.made_by_lender"))
        for call in calls
    ]  # fmt: skip
    head = html.Thead(html.Tr([html.Th(say(f"leads.column_{name}"), scope="col") for name in columns]))
    body = html.Tbody([html.Tr([html.Td(cell) for cell in row]) for row in rows])
    return html.Div(
        [html.H2(say("leads.history", count=len(calls))), html.Table([head, body], className="ld-table")],
        className="cg-card ld-history",
    )


def _after(found: Board, now: datetime) -> list[Any]:
    if found.untold is not None:
        return [html.Aside(html.P(say("leads.first_tell"), className="ld-quiet"), className="ld-after")]
    chosen = found.shown.lead.lead_id if found.shown else ""
    parts = [html.H2(say("leads.ahead", count=len(found.ahead))), _list(found.ahead, chosen, now)]
    if found.waiting:
        parts += [html.H2(say("leads.waiting", count=len(found.waiting))), _list(found.waiting, chosen, now)]
    return [html.Aside(parts, className="ld-after", **named(say("leads.list")))]


def _list(leads: Sequence[Seen], chosen: str, now: datetime) -> Any:
    return html.Ol([html.Li(_item(seen, chosen, now)) for seen in leads], className="ld-list")


def _item(seen: Seen, chosen: str, now: datetime) -> Any:
    lead = seen.lead
    if seen.allowed:
        when = say("leads.until", at=clock(lead.allowed_until, now)) if lead.allowed_until else say("leads.allowed")
    else:
        when = say("leads.from", at=clock(lead.next_allowed_at, now))
    why = [html.Span(capital(rule(seen.rule)), className="ld-item-why")] if seen.rule else []
    current: dict[str, Any] = {"aria-current": "true"} if lead.lead_id == chosen else {}
    return html.Button(
        [
            html.Span([html.Span(lead.number), html.Span(when, className="ld-item-when")], className="ld-item-who"),
            html.Span(to_whom(lead)),
            html.Span(route(lead), className="ld-item-route"),
            *why,
        ],
        type="button", className="ld-item",
        **click("look", lead=lead.lead_id), **current,
    )  # fmt: skip
