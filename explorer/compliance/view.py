"""How compliance looks: lines of the log, its chain, rules and policies with their history, what erasure there is."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from dash import html

from explorer.compliance.chain import Verdict
from explorer.compliance.settings_seen import Setting, difference
from explorer.parts import Color, card, command, light, table
from explorer.words import has, moment, say, written
from graph.audit import AuditEntry

_LONG = 140  # characters of an object that are shown at once
_NIGHTS = 14


def lines(entries: Sequence[AuditEntry]) -> Any:
    """Return lines of the log as a table."""
    if not entries:
        return html.P(say("compliance.none_found"), className="pt-nothing")
    rows = [
        [
            str(entry.seq), html.Span(moment(dt.datetime.fromisoformat(entry.at)), className="pt-nowrap"), entry.user,
            html.Span(action(entry.action), title=entry.action), _object(entry.object), _purpose(entry.purpose),
        ]
        for entry in entries
    ]  # fmt: skip
    head = [say(f"compliance.column_{name}") for name in ("number", "at", "user", "action", "object", "purpose")]
    return table(head, rows, caption=say("compliance.lines"), numbers=frozenset({0}))


def action(name: str) -> str:
    """Return an action of the log in words; one that is not known as it is."""
    key = f"compliance.action_{re.sub('[^a-z_]', '_', name)}"
    return say(key) if has(key) else name


def _purpose(text: str) -> str:
    return say("compliance.purpose_screen") if text == "screen" else text  # what the desk writes where none was asked


def _object(text: str) -> Any:
    if len(text) <= _LONG:
        return html.Code(text)
    cut = text.rfind(" ", 0, _LONG)
    cut = cut if cut > 0 else _LONG
    return html.Details([html.Summary(html.Code(f"{text[:cut]} …")), html.Code(text[cut:])], className="cp-object")


def chain(found: Verdict) -> Any:
    """Return the light of the chain with what to do."""
    color: Color = "green" if found.state == "whole" else "red"
    seen = found.seen.rows if found.seen else 0
    said = say(
        f"compliance.chain_{found.state}", rows=found.chain.rows, row=found.row, seen=seen, seen_at=found.seen_at
    )
    head = say("compliance.chain_head", head=found.chain.head[:16], at=found.walked_at)
    return [light(color, said), html.Span(head, className="pt-quiet")]


def settings(found: Mapping[str, Sequence[Setting]], in_force: Sequence[str], nights: Sequence[Any]) -> list[Any]:
    """Return rules and policies with what they were, and which version of the ring rules each night ran with."""
    rows = []
    for name, contents in found.items():
        newest = contents[0]
        force = name.startswith("rules/") or name.removeprefix("policies/").removesuffix(".yml") in in_force
        state = light("green" if force else "gray", say("compliance.in_force" if force else "compliance.not_in_force"))
        rows.append([
            html.Code(name), _about(name), state, newest.version or "—", html.Code(newest.digest[:12]),
            html.Span(moment(newest.seen_at), className="pt-nowrap"), _changes(contents),
        ])  # fmt: skip
    head = [
        say(f"compliance.setting_{key}") for key in ("file", "about", "state", "version", "digest", "since", "history")
    ]
    ran = [[html.Span(written(day), className="pt-nowrap"), str(version)] for day, version in nights[:_NIGHTS]]
    parts = [
        card(say("compliance.settings"), html.P(say("compliance.settings_lead"), className="pt-quiet"),
             table(head, rows, caption=say("compliance.settings")), id="compliance-settings"),
    ]  # fmt: skip
    if ran:
        named = [say("compliance.night"), say("compliance.ring_rules_version")]
        body = table(named, ran, caption=say("compliance.nights"), numbers=frozenset({1}))
        parts.append(card(say("compliance.nights"), body, id="compliance-nights"))
    return parts


def _changes(contents: Sequence[Setting]) -> Any:
    shown = []
    for after, before in pairwise(contents):
        told = say("compliance.changed", at=after.seen_at, before=before.digest[:12], after=after.digest[:12])
        shown.append(html.Details([html.Summary(told), html.Pre(difference(before, after), className="cp-diff")]))
    text = html.Details([html.Summary(say("compliance.setting_text")), html.Pre(contents[0].text, className="cp-diff")])
    return html.Div([*shown, text])


def _about(name: str) -> str:
    key = f"compliance.about_{re.sub('[^a-z]', '_', name.removesuffix('.yml'))}"
    return say(key) if has(key) else ""


def erasure() -> Any:
    """Return what can and what cannot be done today to forget a person: the platform erases nothing yet."""
    return card(
        say("compliance.erase"),
        light("amber", say("compliance.erase_none")),
        html.P(say("compliance.erase_why")),
        html.Ol([
            html.Li([say("compliance.erase_stop"),
                     command("python -m algorithms leads do-not-contact add tel:NUMBER --reason asked --user NAME")]),
            html.Li(say("compliance.erase_end")),
            html.Li(say("compliance.erase_stays")),
            html.Li(say("compliance.erase_log")),
        ], className="cp-steps"),
        id="compliance-erase",
    )  # fmt: skip
