"""The page of one case as components: what it rests on, what was noted and changed, and what can be done with it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dash_mantine_components as dmc
from dash import dcc, html

from explorer.cases.book import TITLE_LENGTH, Case, Status
from explorer.cases.history import history, notes
from explorer.cases.known import Open
from explorer.masking import short
from explorer.rights import Action, Shows, authorize, shows
from explorer.rings.listing import short_ring, typology_word
from explorer.rings.sentences import in_words
from explorer.rings.verdicts import Verdict
from explorer.words import money, say, score, written

if TYPE_CHECKING:
    from explorer.desk import Desk

MEMBERS_SHOWN = 50


def named(label: str) -> dict[str, Any]:
    """Return the attribute that names a part to who does not see it."""
    return {"aria-label": label}


def screen(desk: Desk, one: Open) -> Any:
    """Return the page of a case."""
    case = one.case
    may = desk.may(Action.CHANGE_CASES, case).allowed
    left = [
        html.Section(evidence(desk, one), id="cases-evidence", className="cg-card cs-card"),
        _notes(one, may),
        _section("history", html.Div(history(one.history, one.sees_rings), id="cases-history")),
    ]
    right = [*([_change(desk, case)] if may else []), _judge(desk, one)]
    return html.Div(
        [
            _head(desk, case),
            html.Div([html.Div(part, className="cs-column") for part in (left, right)], className="cs-one"),
            dcc.Store(id="cases-seen", data=seen(one)),
        ],
        className="cs",
    )  # fmt: skip


def seen(one: Open) -> dict[str, Any]:
    """Return what the browser knows of the case, to tell later whether somebody else was faster."""
    standing = one.standing
    return {
        "case": one.case.case_id, "version": one.case.version, "verdict": standing.verdict_id if standing else None
    }  # fmt: skip


def facts(case: Case) -> Any:
    """Return status, whose it is and when it was made and changed."""
    told: list[tuple[str, Any]] = [
        (say("cases.status"), html.Span(say(f"cases.{case.status}"), className=f"cs-status cs-{case.status}")),
        (say("cases.assignee"), case.assignee or say("cases.assignee_none")),
        (say("cases.column_made_by"), case.made_by),
        (say("cases.made"), written(case.made_at)),
        (say("cases.column_changed"), written(case.changed_at)),
    ]
    return html.Dl([html.Div([html.Dt(name), html.Dd(value)]) for name, value in told], className="cg-facts")


def _head(desk: Desk, case: Case) -> Any:
    actions = []
    if desk.may(Action.EXPORT_CASES, case).allowed:
        link = html.A(say("cases.report"), href=f"/cases/{case.case_id}/report", target="_blank", className="cs-button")
        actions.append(link)
    return html.Header(
        [
            html.Div(
                [
                    html.Div(
                        [
                            dcc.Link(say("cases.back"), href="/cases", className="cs-back"),
                            html.H1(case.title, className="cg-title", id="cases-name"),
                            html.Span(case.case_id, className="cg-id cs-quiet"),
                        ]
                    ),
                    html.Div(actions),
                ],
                className="cs-top",
            ),
            html.Div(facts(case), id="cases-facts", className="cg-card"),
        ]
    )  # fmt: skip


def _section(name: str, *children: Any) -> Any:
    return html.Section([html.H2(say(f"cases.{name}")), *children], className="cg-card cs-card")


def evidence(desk: Desk, one: Open) -> list[Any]:
    """Return what the case rests on, as far as the reader may see it, and whether it is still so."""
    case, parts = one.case, [html.H2(say("cases.evidence"))]
    kept = case.evidence
    if "ring" in kept and one.sees_rings:
        parts += _ring(desk, kept["ring"])
    if "scene" in kept:
        parts += _scene(desk, kept["scene"])
    if not (kept or case.ring_id or case.scene_id):
        return [*parts, html.P(say("cases.evidence_none"), className="cs-quiet")]
    may = desk.may(Action.CHANGE_CASES, case).allowed and one.sees_rings
    renew = dmc.Button(say("cases.evidence_renew"), id="cases-renew", variant="default", size="compact-sm")
    stale = one.compared is not None and one.compared.whole and not (one.compared.same or one.compared.gone)
    return [
        *parts,
        html.P(state(one), className="cs-state"),
        html.Div(renew, hidden=not (may and stale)),
        html.P([say("cases.digest"), html.Code(case.evidence_digest)], className="cs-digest"),
    ]


def state(one: Open) -> str:
    """Return whether the evidence is still as it was when it was taken in."""
    found = one.compared
    if found is None:
        return say("cases.evidence_unknown")
    if not found.whole:
        return say("cases.digest_broken")
    if found.gone:
        return say("cases.evidence_gone")
    return say("cases.evidence_same" if found.same else "cases.evidence_changed")


def ring_facts(desk: Desk, ring: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the figures of the kept ring that the reader may see."""
    show = shows(desk.user)
    told = [(say("cases.typology"), typology_word(ring["typology"])), (say("cases.size"), written(ring["size"]))]
    if Shows.SCORES in show and ring["score"] is not None:
        told.append((say("cases.score"), score(ring["score"])))
    if Shows.MONEY in show:
        told.append((say("cases.exposure"), money(ring["exposure_cny"])))
    return told


def night(ring: Mapping[str, Any]) -> str:
    """Return of which night the kept ring is."""
    day = dt.date.fromisoformat(ring["as_of_date"]) if ring["as_of_date"] else None
    return say("cases.evidence_as_of", night=day)


def members(ring: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the first members of the kept ring with their roles, shortened as on the other screens."""
    return [(short(id), say(f"rings.role.{role}")) for id, role in ring["members"][:MEMBERS_SHOWN]]


def _ring(desk: Desk, ring: Mapping[str, Any]) -> list[Any]:
    name: Any = html.Span(short_ring(ring["id"]), className="cg-id")
    if desk.may(Action.SEE_RINGS).allowed:
        name = dcc.Link(short_ring(ring["id"]), href=f"/rings/{ring['id']}", className="cg-id")
    sentences = [html.Li(text, lang=spoken) for text, spoken in map(in_words, ring["sentences"])]
    rows = [html.Tr([html.Td(id, className="cg-id"), html.Td(role)]) for id, role in members(ring)]
    head = html.Thead(html.Tr([html.Th(say("cases.person"), scope="col"), html.Th(say("cases.role"), scope="col")]))
    told = say("cases.members_told", shown=len(rows), count=ring["members_total"])
    return [
        html.P([say("cases.ring"), " ", name, " · ", night(ring)]),
        html.Dl([html.Div([html.Dt(a), html.Dd(b)]) for a, b in ring_facts(desk, ring)], className="cg-facts"),
        html.Ol(sentences, className="cs-sentences"),
        html.Details([html.Summary(f"{say('cases.members')} · {told}"), html.Table([head, html.Tbody(rows)])]),
    ]  # fmt: skip


def scene_words(scene: Mapping[str, Any]) -> str:
    """Return a kept scene in one line."""
    parts = {name: scene[name] for name in ("name", "version", "nodes", "links")}
    return say("cases.scene_told", **parts)


def _scene(desk: Desk, scene: Mapping[str, Any]) -> list[Any]:
    link: list[Any] = []
    if desk.may(Action.OPEN_SCENES).allowed:
        link = [" ", dcc.Link(say("cases.open_canvas"), href=f"/canvas?scene={scene['id']}")]
    return [html.P([say("cases.scene"), " ", scene_words(scene), *link])]


def _notes(one: Open, may: bool) -> Any:
    writing = [
        dmc.Textarea(
            id="cases-note", label=say("cases.note"), description=say("cases.note_hint"), autosize=True, minRows=2,
            maxRows=10,
        ),
        html.Div(
            [dmc.Button(say("cases.note_add"), id="cases-note-add", size="xs", variant="default"),
             html.Span(id="cases-note-told", className="cs-told", role="status")],
            className="cs-row",
        ),
    ]  # fmt: skip
    return _section("notes", html.Div(notes(one.history), id="cases-notes"), *(writing if may else []))


def _change(desk: Desk, case: Case) -> Any:
    statuses = [{"value": str(status), "label": say(f"cases.{status}")} for status in Status]
    fields = [
        dmc.TextInput(id="cases-title", label=say("cases.title_field"), value=case.title, size="sm",
                      inputProps={"maxLength": TITLE_LENGTH}),
        html.Div([
            html.Span(say("cases.status"), className="cs-label", id="cases-status-label"),
            dmc.SegmentedControl(id="cases-status", value=str(case.status), data=statuses, fullWidth=True, size="sm",
                                 **named(say("cases.status"))),
        ]),
        dmc.Select(id="cases-assignee", label=say("cases.assignee"), value=case.assignee or "", size="sm",
                   data=assignees(desk, case), allowDeselect=False, searchable=True,
                   disabled=not desk.may(Action.ASSIGN_CASES).allowed),
        dmc.Select(id="cases-scene", label=say("cases.scene"), value=case.scene_id or "", size="sm",
                   data=scenes(desk, case), allowDeselect=False, searchable=True,
                   disabled=not desk.may(Action.OPEN_SCENES).allowed),
    ]  # fmt: skip
    save = dmc.Button(say("cases.save"), id="cases-save", color="indigo.8", size="sm")
    told = html.P(id="cases-told", className="cs-told", role="status")
    return _section("change", html.Div([*fields, save, told], className="cs-form"))


def assignees(desk: Desk, case: Case) -> list[dict[str, str]]:
    """Return who may be given the case: all who may change cases, and who has it now."""
    names = [
        user.name for user in desk.accounts.all()
        if user.name == case.assignee or authorize(user, Action.CHANGE_CASES).allowed
    ]  # fmt: skip
    return [{"value": "", "label": say("cases.assignee_none")}, *({"value": name, "label": name} for name in names)]


def scenes(desk: Desk, case: Case) -> list[dict[str, str]]:
    """Return the scenes that the case can have: the user's own, and the one it has."""
    from explorer.scenes import Scenes

    kept = Scenes(desk.store)
    mine = {scene.scene_id: scene.name for scene in kept.of(desk.user.name)}
    if case.scene_id and case.scene_id not in mine and (there := kept.read(case.scene_id)):
        mine[there.scene_id] = there.name
    return [
        {"value": "", "label": say("cases.no_scene")},
        *({"value": id, "label": name} for id, name in mine.items()),
    ]


def _judge(desk: Desk, one: Open) -> Any:
    case = one.case
    if not one.sees_rings:
        return None
    may = desk.may(Action.JUDGE_RINGS).allowed and desk.may(Action.CHANGE_CASES, case).allowed
    persons = case.evidence.get("scene", {}).get("persons", [])
    parts: list[Any] = [html.Div(stands(one), id="cases-stands")]
    take = dmc.Button(say("cases.withdraw"), id="cases-withdraw", variant="default", size="compact-xs")
    parts.append(html.Div(take, id="cases-take", hidden=one.standing is None or not may))
    chosen = dmc.CheckboxGroup(
        [dmc.Checkbox(label=short(id), value=id, size="xs") for id in persons[:200]], id="cases-persons", value=[],
        label=say("cases.persons"),
    )  # fmt: skip
    parts.append(html.Div(chosen, hidden=bool(case.ring_id) or not (may and persons), className="cs-persons"))
    if may and not (case.ring_id or persons):
        parts.append(html.P(say("cases.judge_nothing"), className="cs-quiet"))
    elif may:
        hint = say("cases.judge_as_ring" if case.ring_id else "cases.judge_as_case")
        buttons = [
            dmc.Button(say(f"rings.judge.{verdict}"), id=f"cases-judge-{verdict}", variant="default",
                       size="sm", fullWidth=True, className=f"cs-judge cs-judge-{verdict}")
            for verdict in Verdict
        ]  # fmt: skip
        parts += [html.P(hint, className="cs-quiet"), html.Div(buttons, className="cs-buttons")]
    told = html.P(id="cases-judged", className="cs-told", role="status")
    return _section("judge", html.Div([*parts, told], className="cs-form"))


def stands(one: Open) -> list[Any]:
    """Return the verdict that stands."""
    standing = one.standing
    if standing is None:
        return [html.P(say("cases.judge_none"))]
    verdict = say(f"rings.verdict.{standing.verdict}")
    said = html.P(say("cases.judge_stands", verdict=verdict, by=standing.by, at=standing.at), className="cs-verdict")
    return [said, *([html.Blockquote(standing.note)] if standing.note else [])]
