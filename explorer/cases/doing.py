"""What is done with a case: make it, change it, take its evidence in anew, judge it. Returned is what to say of it."""

from __future__ import annotations

from typing import Any

from explorer.cases.book import TITLE_LENGTH, Case, CaseMetError, Cases, Status
from explorer.cases.evidence import digest, gathered
from explorer.cases.history import what
from explorer.cases.known import as_group, ring_of, scene_of
from explorer.cases.listing import subject
from explorer.cases.view import assignees, scenes
from explorer.desk import Desk
from explorer.rights import Action
from explorer.rings.known import MembersMissingError, whole
from explorer.rings.verdicts import Verdict, VerdictMetError, Verdicts
from explorer.scenes import Scenes
from explorer.words import say
from graph.rings import Ring


class CaseError(Exception):
    """Something was asked of a case that cannot be done; the text is in the reader's language."""


def make_case(desk: Desk, title: str, note: str, source: dict[str, Any]) -> Case:
    """Make a case of a ring and a scene as they are now; it is its maker's.

    Raises:
        CaseError: there is no such ring or scene.
    """
    ring_id, scene_id = str(source.get("ring") or ""), str(source.get("scene") or "")
    ring = scene = None
    if ring_id:
        desk.require(Action.SEE_RINGS)
        ring = desk.reader.ring(ring_id)
        if ring is None:
            raise CaseError(say("cases.ring_gone"))
    if scene_id:
        desk.require(Action.OPEN_SCENES)
        scene = Scenes(desk.store).read(scene_id)
        if scene is None:
            raise CaseError(say("cases.scene_gone"))
    kept = gathered(ring, scene)
    desk.record(Action.CHANGE_CASES, f"make {ring_id} {scene.scene_id if scene else ''}".strip())
    return Cases(desk.store).make(
        title, desk.user.name, desk.now(), kept, digest(kept), ring_id=ring_id or None, scene_id=scene_id or None,
        assignee=desk.user.name, note=note,
    )  # fmt: skip


def save_case(desk: Desk, case: Case, known: Any, title: str, status: str, assignee: str, scene: str) -> str:
    """Change what is otherwise in the fields; return what to say of it."""
    if not title:
        return say("cases.title_missing")
    offered = {choice["value"] for choice in assignees(desk, case)}, {choice["value"] for choice in scenes(desk, case)}
    if status not in set(Status) or assignee not in offered[0] or scene not in offered[1]:
        return say("cases.wrongly")
    wanted: dict[str, str | None] = {
        "title": title[:TITLE_LENGTH], "status": Status(status), "assignee": assignee or None, "scene_id": scene or None
    }  # fmt: skip
    if wanted["assignee"] != case.assignee:
        desk.require(Action.ASSIGN_CASES)
    if wanted["scene_id"] != case.scene_id:
        desk.require(Action.OPEN_SCENES)
    desk.record(Action.CHANGE_CASES, f"{case.case_id} {status}")
    try:
        Cases(desk.store).change(case.case_id, int(known["version"]), desk.user.name, desk.now(), **wanted)
    except CaseMetError:
        return _met(desk, case.case_id)
    return say("cases.changed")


def renew_evidence(desk: Desk, case: Case, version: int) -> str:
    """Take in the evidence as it is now; return what to say of it."""
    kept = gathered(ring_of(desk, case), scene_of(desk, case))
    desk.record(Action.CHANGE_CASES, f"{case.case_id} evidence")
    try:
        Cases(desk.store).renew(case.case_id, version, desk.user.name, desk.now(), kept, digest(kept))
    except CaseMetError:
        return _met(desk, case.case_id)
    return say("cases.evidence_renewed")


def _met(desk: Desk, case_id: str) -> str:
    """Return who changed the case meanwhile, when and what."""
    last = [entry for entry in Cases(desk.store).history(case_id) if entry.kind in ("change", "evidence")][-1]
    return say("cases.met", by=last.by, at=last.at, what=what(last))


def judge_case(desk: Desk, case: Case, standing: Any, verdict: Verdict | None, persons: list[str]) -> str:
    """Write down a verdict, or take the standing one back (None); return the key of what to say."""
    verdicts, by, at = Verdicts(desk.store), desk.user.name, desk.now()
    before = next((one.verdict for one in verdicts.of(subject(case)) if one.verdict_id == standing), None)
    try:
        if verdict is None:
            desk.record(Action.JUDGE_RINGS, f"{case.case_id} {subject(case)} taken back")
            verdicts.withdraw(str(standing), subject(case), by, at)
        else:
            group = _group(desk, case, persons)
            if isinstance(group, str):
                return group
            ids = " ".join(member.person_id for member in group.members)
            desk.record(Action.JUDGE_RINGS, f"{case.case_id} {group.id} {verdict}: {ids}")
            verdicts.give(group, verdict, by, at, "", standing)
    except VerdictMetError:
        return "judge_met"
    except MembersMissingError:
        return "judge_members_missing"
    Cases(desk.store).judged(case.case_id, verdict, before, by, at)
    return "judge_taken" if verdict is None else "judge_given"


def _group(desk: Desk, case: Case, persons: list[str]) -> Ring | str:
    """Return whom a verdict is about, or the key of what stands against it."""
    if case.ring_id is None:
        group = as_group(desk, case, persons)
        return group if group.members else "judge_no_person"
    ring = ring_of(desk, case)
    if ring is None:
        return "judge_missing"
    kept, now = case.evidence.get("ring", {}), gathered(ring, None)["ring"]
    if (kept.get("sentences"), kept.get("members")) != (now["sentences"], now["members"]):
        return "judge_changed"
    return whole(ring, desk.lake)
