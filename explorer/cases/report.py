"""A case as a page to print: made on the server, for one reader, whose name and hour stand across each sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import render_template

from explorer.cases.book import Kind
from explorer.cases.history import what
from explorer.cases.known import Open
from explorer.cases.view import members, night, ring_facts, scene_words, state
from explorer.rings.sentences import in_words
from explorer.words import language, say, written

if TYPE_CHECKING:
    from explorer.desk import Desk

_MARKS = 40  # as many as fill a sheet


def report(desk: Desk, one: Open) -> str:
    """Return the page's HTML, with what the reader may see."""
    case, kept = one.case, one.case.evidence
    at = written(desk.now())
    ring = kept.get("ring") if one.sees_rings else None
    standing = one.standing
    verdict = say("cases.judge_none") if standing is None else say(
        "cases.judge_stands", verdict=say(f"rings.verdict.{standing.verdict}"), by=standing.by, at=standing.at
    )  # fmt: skip
    return render_template(
        "case_report.html", say=say, written=written, case=case, ring=ring, verdict=verdict, sees_rings=one.sees_rings,
        language="zh-CN" if language() == "zh" else "en", state=state(one),
        night=night(ring) if ring else "", status=say(f"cases.{case.status}"),
        ring_facts=ring_facts(desk, ring) if ring else [], members=members(ring) if ring else [],
        sentences=[in_words(text) for text in ring["sentences"]] if ring else [],
        scene=scene_words(kept["scene"]) if "scene" in kept else "",
        notes=[entry for entry in one.history if entry.kind == Kind.NOTE],
        history=[(entry, what(entry)) for entry in one.history if one.sees_rings or entry.kind != Kind.VERDICT],
        mark=say("cases.report_mark", user=desk.user.name, at=at), marks=range(_MARKS),
        printed=say("cases.report_printed", user=desk.user.name, at=at),
    )  # fmt: skip
