"""The screen of one ring: picture, evidence, verdict, members, timeline, lineage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dash_cytoscape as cyto
import dash_mantine_components as dmc
from dash import dcc, html

from explorer.masking import visible
from explorer.pages import find
from explorer.rights import Action, Shows, shows
from explorer.rings.known import One
from explorer.rings.listing import changed_on, short_ring, typology_word
from explorer.rings.picture import BUDGET, Lit, Picture
from explorer.rings.sentences import in_words
from explorer.rings.timeline import MOST, left_out, timeline
from explorer.rings.verdicts import Judged, Verdict, evidence_digest
from explorer.words import moment, money, say, score, written
from graph.rings import STATUSES, Member, Ring

if TYPE_CHECKING:
    from explorer.desk import Desk

_ROLES = ("core", "member", "suspected_agent")


def named(label: str) -> dict[str, Any]:
    """Return the attribute by which a screen reader calls a part."""
    return {"aria-label": label}


def screen(desk: Desk, one: One) -> Any:
    """Return the page of a ring."""
    ring = one.ring
    seen = {
        "ring": ring.id, "digest": evidence_digest(ring), "verdict": one.standing.verdict_id if one.standing else None
    }  # fmt: skip
    return html.Div(
        [
            _head(desk, ring),
            html.Div(
                [
                    html.Div(
                        [_picture(one.picture), _members(desk, one), _timeline(one.picture)], className="rg-column"
                    ),
                    html.Div(
                        [_verdict(desk, one), _evidence(desk, one.picture), _lineage(ring)], className="rg-column"
                    ),
                ],
                className="rg-one",
            ),
            dcc.Store(id="rings-seen", data=seen),
            dcc.Store(id="rings-drawn"),
        ],
        className="rg",
    )  # fmt: skip


def _head(desk: Desk, ring: Ring) -> Any:
    actions = []
    if desk.may(Action.SEE_CANVAS).allowed and desk.may(Action.CHANGE_SCENES).allowed:
        actions.append(dmc.Button(say("rings.open_canvas"), id="rings-open", size="xs", variant="default"))
    if desk.may(Action.CHANGE_CASES).allowed and find(desk.pages, "/cases/new"):
        actions.append(dcc.Link(say("rings.make_case"), href=f"/cases/new?ring={ring.id}", className="rg-button"))
    facts = [(say(f"rings.fact.{name}"), value) for name, value in _facts(desk, ring).items()]
    return html.Header(
        [
            html.Div(
                [
                    html.Div(
                        [
                            dcc.Link(say("rings.back"), href="/rings", className="rg-back"),
                            html.H1(say("rings.ring", name=typology_word(ring.typology)), className="cg-title"),
                            html.Span(ring.id, className="cg-id rg-quiet"),
                        ]
                    ),
                    html.Div(actions, className="rg-actions"),
                ],
                className="rg-top",
            ),
            html.Dl(
                [html.Div([html.Dt(name), html.Dd(value)]) for name, value in facts],
                className="cg-facts cg-card rg-facts",
            ),
        ]
    )  # fmt: skip


def _facts(desk: Desk, ring: Ring) -> dict[str, str]:
    seen = visible(desk.user, {"score": ring.score, "exposure_cny": ring.exposure_cny})
    told = {}
    if "score" in seen:
        told["score"] = score(seen["score"])
    told["size"] = written(ring.size)
    if "exposure_cny" in seen:
        told["exposure"] = money(seen["exposure_cny"])
    told["status"] = say(f"rings.status.{ring.status}") if ring.status in STATUSES else "—"
    return told | {
        "newest": moment(ring.last_seen_at), "since": moment(ring.first_seen_at), "as_of": written(ring.as_of_date)
    }  # fmt: skip


def _card(title: str, *children: Any, id: str = "", note: str = "") -> Any:
    told = [html.P(note, className="rg-note")] if note else []
    own: dict[str, Any] = {"id": id} if id else {}
    return html.Section([html.H2(title), *told, *children], className="cg-card rg-card", **own)


def _picture(picture: Picture) -> Any:
    if picture.members_left or picture.links_left:
        told = say("rings.left_some", members=picture.members_left, links=picture.links_left, limit=BUDGET)
    else:
        told = say("rings.left_nothing", nodes=len(picture.ends), links=len(picture.drawn))
    graph = cyto.Cytoscape(
        id="rings-picture", elements=picture.elements, layout={"name": "preset", "fit": True, "padding": 18},
        style={"width": "100%", "height": "100%"}, minZoom=0.1, maxZoom=3, boxSelectionEnabled=False,
        autoungrabify=True, responsive=True,
    )  # fmt: skip
    return _card(
        say("rings.picture_title"),
        html.Div(graph, className="rg-picture", role="img", **named(say("rings.picture"))),
        html.P(say("rings.picture_hint"), id="rings-told", className="rg-told", role="status"),
        html.Ul(
            [
                html.Li([html.I(className=f"rg-shape rg-{name}"), say(f"rings.shape.{name}")])
                for name in (*_ROLES, "shared")
            ],
            className="rg-legend",
        ),
        html.P(told, id="rings-left", className="rg-note"),
    )  # fmt: skip


def _lights(lit: Lit) -> dict[str, Any]:
    return {"data-lit": json.dumps(lit.keys, ensure_ascii=False), "aria-pressed": "false"}


def _sentence(lit: Lit, id: str) -> Any:
    text, spoken = in_words(lit.text)
    note = "" if lit.keys else say("rings.evidence_nothing")
    if lit.keys and lit.drawn < lit.named:
        note = say("rings.evidence_part", shown=lit.drawn, count=lit.named)
    small = [html.Small(note)] if note else []
    return html.Button(
        [html.Span(text, lang=spoken), *small], id=id, type="button", className="rg-evidence",
        **_lights(lit),
    )  # fmt: skip


def _evidence(desk: Desk, picture: Picture) -> Any:
    shown = picture.evidence if Shows.SCORES in shows(desk.user) else ()  # sentences tell scores
    if not shown:
        return _card(say("rings.evidence"), html.P(say("rings.evidence_none"), className="rg-note"))
    items = [html.Li(_sentence(lit, f"rings-evidence-{number}")) for number, lit in enumerate(shown)]
    return _card(say("rings.evidence"), html.Ol(items, className="rg-sentences"), id="rings-evidence")


def _members(desk: Desk, one: One) -> Any:
    ring = one.ring
    scores = Shows.SCORES in shows(desk.user)
    names = ["member", "member_role", *(["member_score"] if scores else []), "member_since", "member_why"]
    rows = [_member(number, member, one.picture, scores) for number, member in enumerate(ring.members)]
    return _card(
        say("rings.members"),
        html.Div(
            html.Table(
                [html.Thead(html.Tr([html.Th(say(f"rings.{name}"), scope="col") for name in names])), html.Tbody(rows)],
                className="rg-members",
            ),
            className="rg-scroll", tabIndex=0, role="region", **named(say("rings.members")),
        ),
        note=say("rings.members_told", shown=len(ring.members), count=ring.total), id="rings-members",
    )  # fmt: skip


def _member(number: int, member: Member, picture: Picture, scores: bool) -> Any:
    key = f"Person:{member.person_id}"
    mine = [
        edge["data"]["id"]
        for edge in picture.elements
        if key in (edge["data"].get("source"), edge["data"].get("target"))
    ]
    lit = Lit("", (key, *mine), 1, 1)
    name = html.Button(
        member.person_id, type="button", className="rg-person cg-id", title=say("rings.member_find"), **_lights(lit),
    )  # fmt: skip
    role = member.role if member.role in _ROLES else "member"
    cells: list[Any] = [
        name,
        html.Span([html.I(className=f"rg-shape rg-{role}"), say(f"rings.role.{role}")], className="rg-role"),
    ]
    why = picture.of_member.get(member.person_id, ()) if scores else ()
    if scores:
        cells.append(score(member.score))
    cells.append(moment(member.first_seen_at))
    cells.append([_sentence(item, f"rings-why-{number}-{at}") for at, item in enumerate(why)] or "—")
    return html.Tr([html.Td(cell) for cell in cells])


def _timeline(picture: Picture) -> Any:
    """Return the card of the timeline, which is drawn after the picture: its library is larger than all else."""
    figure = timeline(picture.edges)
    left = left_out(picture.edges)
    told = say("rings.timeline_left", limit=MOST, left=left) if left else say("rings.timeline_told")
    box = html.Div(id="rings-timeline-box", role="img", **named(say("rings.timeline_name")))
    nothing = html.P(say("rings.timeline_none"), className="rg-note")
    return _card(
        say("rings.timeline"), box if figure else html.Div(nothing, id="rings-timeline-box"),
        dcc.Store(id="rings-times", data=figure), note=told if figure else "",
    )  # fmt: skip


def _lineage(ring: Ring) -> Any:
    steps: list[Any] = []
    if ring.status == "same":
        steps.append(html.Li(say("rings.lineage_same", date=ring.as_of_date)))
    for step in reversed(ring.lineage):
        if step.status == "same":
            continue
        word = say(f"rings.step.{step.status}") if step.status in STATUSES else step.status
        parents = [part for id in step.from_ids for part in (" ", dcc.Link(short_ring(id), href=f"/rings/{id}"))]
        told = [f" {say('rings.lineage_from')}", *parents] if parents else []
        steps.append(html.Li([say("rings.lineage_step", date=step.date, status=word), *told]))
    return _card(say("rings.lineage"), html.Ol(steps, className="rg-lineage"), id="rings-lineage")


def _verdict(desk: Desk, one: One) -> Any:
    may = desk.may(Action.JUDGE_RINGS).allowed
    buttons = [
        dmc.Button(say(f"rings.judge.{verdict}"), id=f"rings-judge-{verdict}", variant="default", size="sm",
                   fullWidth=True, className=f"rg-{verdict}")
        for verdict in Verdict
    ]  # fmt: skip
    note = dmc.Textarea(
        id="rings-note", label=say("rings.judge_note"), autosize=True, minRows=2, maxRows=6,
    )  # fmt: skip
    hint = html.P(say("rings.judge_hint", count=one.ring.size or 0), className="rg-note")
    giving = [note, html.Div(buttons, className="rg-judge"), hint] if may else [html.P(say("rings.judge_not"))]
    take = dmc.Button(say("rings.judge_withdraw"), id="rings-withdraw", variant="default", size="compact-xs")
    stands, hidden = said(one.ring, one.verdicts)
    return _card(
        say("rings.judge"),
        html.Div(stands, id="rings-stands", className="rg-stands"),
        html.Div(take if may else None, id="rings-take", hidden=hidden),
        *giving,
        html.P(id="rings-judged", className="rg-judged", role="status"),
        id="rings-verdict",
    )


def said(ring: Ring, verdicts: Sequence[Judged]) -> tuple[list[Any], bool]:
    """Return what is told of a ring's verdicts, and whether there is none to take back."""
    standing = next((judged for judged in verdicts if judged.ended_at is None), None)
    told: list[Any] = []
    if standing is None:
        told.append(html.P(say("rings.judge_none")))
    else:
        told.append(html.P(_told("rings.judge_stands", standing), className=f"rg-said rg-{standing.verdict}"))
        if standing.note:
            told.append(html.Blockquote(standing.note))
        changed = changed_on(ring)
        if changed is not None and changed > standing.as_of_date:
            told.append(html.P(say("rings.judge_outdated"), className="rg-warn"))
    before = [judged for judged in verdicts if judged.ended_at is not None]
    if before:
        items = [
            html.Li([_told("rings.judge_ended", judged), *([html.Blockquote(judged.note)] if judged.note else [])])
            for judged in before
        ]
        told.append(html.Details([html.Summary(say("rings.judge_before")), html.Ul(items)]))
    return told, standing is None


def _told(key: str, judged: Judged) -> str:
    return say(
        key, verdict=say(f"rings.verdict.{judged.verdict}"), by=judged.by, at=judged.at, ended_by=judged.ended_by or "",
        ended_at=judged.ended_at,
    )  # fmt: skip
