"""What the pages of rings ask: the whole list in one question of the graph, one ring in two."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from explorer.looks import Look, look
from explorer.rights import Action
from explorer.rings.listing import Entry, Filters, Listing, entries, listing
from explorer.rings.picture import Picture, asked_links, named_steps, picture
from explorer.rings.verdicts import Judged, Verdicts
from graph.lake import Lake, has_table
from graph.rings import Member, Ring

if TYPE_CHECKING:
    from explorer.desk import Desk


@dataclass(frozen=True)
class Known:
    """All rings with their verdicts, the night they are of, and the reader's visit before this one."""

    entries: tuple[Entry, ...]
    night: dt.date | None
    before: Look | None

    def listing(self, asked: Filters) -> Listing:
        """Return what the filters keep."""
        return listing(self.entries, asked, self.night, self.before.night if self.before else None)


@dataclass(frozen=True)
class One:
    """A ring, its picture for the reader, and what people said of it, newest first."""

    ring: Ring
    picture: Picture
    verdicts: tuple[Judged, ...]

    @property
    def standing(self) -> Judged | None:
        """The verdict that stands."""
        return next((judged for judged in self.verdicts if judged.ended_at is None), None)


def known_rings(desk: Desk) -> Known:
    """Return the list of rings; the reader's look at it is noted, so that the next can tell what has changed."""
    found = desk.reader.every_ring()
    night = max((ring.as_of_date for ring in found.rows if ring.as_of_date), default=None)
    before = look(desk.store, desk.user.name, night, desk.now())
    return Known(entries(found.rows, Verdicts(desk.store).standing()), night, before)


def one_ring(desk: Desk, id: str) -> One | None:
    """Return a ring as the reader may see it, None where there is none; who is in it stands in the audit log first."""
    ring = desk.reader.ring(id)
    if ring is None:
        return None
    desk.record(Action.SEE_RINGS, " ".join([ring.id, *(member.person_id for member in ring.members)]))
    named, binding = desk.reader.ring_links(ring.id, named_steps(ring), limit=asked_links())
    return One(ring, picture(desk.user, ring, named, binding), Verdicts(desk.store).of(ring.id))


def whole(ring: Ring, lake: Lake) -> Ring:
    """Return the ring with all its members: the graph gives the first of them, a verdict is about every one.

    Raises:
        MembersMissingError: the lake does not hold as many.
    """
    if ring.total <= len(ring.members):
        return ring
    import polars as pl

    path = lake.results("ring_members")
    rows: list[tuple[str, str]] = []
    if has_table(path):
        these = (pl.col("ring_id") == ring.id) & (pl.col("as_of_date") == ring.as_of_date)
        rows = pl.scan_delta(str(path)).filter(these).select("person_id", "role").collect().rows()
    if len(rows) < ring.total:
        raise MembersMissingError
    first = {member.person_id: member for member in ring.members}
    rest = [Member(id, role, None, None, None, ()) for id, role in sorted(rows) if id not in first]
    return replace(ring, members=(*ring.members, *rest))


class MembersMissingError(Exception):
    """The lake holds fewer members of a ring than the graph; a verdict would be about some of them only."""
