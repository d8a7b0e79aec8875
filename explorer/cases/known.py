"""What the page of a case asks: the case if the reader may see it, and its ring and scene as they are now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from explorer.cases.book import Case, Cases, Entry
from explorer.cases.evidence import Compared, compared
from explorer.cases.listing import subject
from explorer.rights import Action, Shows, shows
from explorer.rings.verdicts import Judged, Verdicts
from explorer.scenes import Scene, Scenes
from explorer.trouble import trouble
from graph.rings import Member, Ring

if TYPE_CHECKING:
    from explorer.desk import Desk


@dataclass(frozen=True)
class Open:
    """A case as its page shows it; `compared` is None where the graph does not answer.

    Who does not see rings is told neither of the ring nor of verdicts: `verdicts` is empty for them.
    """

    case: Case
    history: tuple[Entry, ...]
    verdicts: tuple[Judged, ...]
    compared: Compared | None
    sees_rings: bool

    @property
    def standing(self) -> Judged | None:
        """The verdict that stands."""
        return next((judged for judged in self.verdicts if judged.ended_at is None), None)


def may_read(desk: Desk, case_id: str, action: Action = Action.SEE_CASES) -> Case | None:
    """Return a case if there is one.

    Raises:
        explorer.rights.ForbiddenError: the user may not do that with it.
    """
    case = Cases(desk.store).read(case_id)
    if case is not None:
        desk.require(action, case)
    return case


def opened(desk: Desk, case: Case) -> Open:
    """Return a case with its history; whom it names stands in the audit log first."""
    kept = case.evidence
    rings = Shows.RINGS in shows(desk.user)
    persons = [id for id, _ in kept.get("ring", {}).get("members", [])] if rings else []
    persons += kept.get("scene", {}).get("persons", [])
    desk.record(Action.SEE_CASES, " ".join([case.case_id, *dict.fromkeys(persons)]))
    verdicts = Verdicts(desk.store).of(subject(case)) if rings else ()
    return Open(case, Cases(desk.store).history(case.case_id), verdicts, _now(desk, case), rings)


def ring_of(desk: Desk, case: Case) -> Ring | None:
    """Return the case's ring as it is now; None where it has none or the graph does not hold it."""
    return desk.reader.ring(case.ring_id) if case.ring_id else None


def scene_of(desk: Desk, case: Case) -> Scene | None:
    """Return the newest version of the case's scene."""
    return Scenes(desk.store).read(case.scene_id) if case.scene_id else None


def as_group(desk: Desk, case: Case, persons: list[str]) -> Ring:
    """Return persons of the case's scene in the form in which verdicts are given: a group under the case's own id."""
    known = case.evidence.get("scene", {}).get("persons", [])
    members = tuple(Member(id, "member", None, None, None, ()) for id in known if id in persons)
    return replace(
        _NO_RING, id=case.case_id, as_of_date=desk.reader.night() or desk.now().date(), members=members,
        size=len(members), total=len(members),
    )  # fmt: skip


def _now(desk: Desk, case: Case) -> Compared | None:
    try:
        ring = ring_of(desk, case)
    except Exception as error:
        if trouble(error) is None:
            raise
        return None
    return compared(case.evidence, case.evidence_digest, ring, scene_of(desk, case))


_NO_RING = Ring("", None, None, None, None, None, None, None, None, None, ())
