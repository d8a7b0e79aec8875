"""Which leads are looked at for an offer, in which order, and until when some need not be looked at again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, or_, select, update

from algorithms.contact.debtors import leads, not_of_others
from algorithms.contact.standing import Terms, day_begins
from algorithms.contact.store import ASSIGNMENTS, ATTEMPTS, ITEMS, PEOPLE, Store

NEVER = datetime.max.replace(tzinfo=UTC)  # not by waiting
_PAGE = 200

Later = dict[str, tuple[int, datetime]]  # of a lead: its stamp when it was looked at, and when it may be lawful


def candidates(connection: Connection, terms: Terms, me: str, now: datetime) -> Iterable[Sequence[dict[str, Any]]]:
    """Yield leads that are not known to be unlawful now, in pages, best first."""
    other = PEOPLE.alias()
    called = select(other.c.person_id).join(ATTEMPTS, ATTEMPTS.c.applicant_id == other.c.applicant_id)
    asked = (
        leads()
        .with_only_columns(ITEMS.c.lead_id)
        .where(ITEMS.c.state == "ready", or_(ITEMS.c.not_before.is_(None), ITEMS.c.not_before <= now))
        .where(PEOPLE.c.person_id.not_in(called.where(ATTEMPTS.c.outcome.is_(None))))
        .order_by(ITEMS.c.probability.desc(), ITEMS.c.loan_id, ITEMS.c.rank)
    )
    loans = connection.execute(select(ASSIGNMENTS.c.loan_id).where(ASSIGNMENTS.c.collector == me)).scalars().all()
    mine, free = ITEMS.c.loan_id.in_(loans), ASSIGNMENTS.c.collector.is_(None)
    today = ITEMS.c.tried_at >= day_begins(terms, now)
    fresh = or_(ITEMS.c.tried_at.is_(None), ITEMS.c.tried_at < day_begins(terms, now))
    # Those of nobody are read along the index of probabilities, of which nearly always the first page holds a lead.
    for which in (*((mine & fresh, mine & today) if loans else ()), free & fresh, free & today):
        best = asked.where(which)
        for ids in (best.limit(_PAGE), best.offset(_PAGE)):
            found = list(connection.execute(ids).scalars())
            for page in range(0, len(found), _PAGE):
                wanted = found[page : page + _PAGE]
                rows = connection.execute(leads().where(ITEMS.c.lead_id.in_(wanted))).mappings()
                by_id = {row["lead_id"]: dict(row) for row in rows}
                yield [by_id[lead_id] for lead_id in wanted if lead_id in by_id]
            if len(found) < _PAGE:
                break


def soonest(connection: Connection, me: str, now: datetime, later: Later) -> datetime | None:
    """Return when the first lead that is denied at `now` may be lawful; None: none will be by waiting."""
    query = select(ITEMS.c.not_before).where(ITEMS.c.state == "ready", ITEMS.c.not_before > now, not_of_others(me))
    joined = query.join(ASSIGNMENTS, ASSIGNMENTS.c.loan_id == ITEMS.c.loan_id, isouter=True)
    first = connection.execute(joined.order_by(ITEMS.c.not_before).limit(1)).scalar()
    times = [at for at in (first, *(at for _, at in later.values())) if at is not None and at != NEVER]
    return min(times, default=None)


def note(store: Store, later: Later) -> None:
    """Keep until when leads need not be looked at, unless something happened to them meanwhile."""
    if not later:
        return
    with store.writing() as connection:
        # Whoever is just writing about a lead makes the note pointless: it is left out, and nobody waits.
        free = select(ITEMS.c.lead_id, ITEMS.c.stamp).with_for_update(skip_locked=True)
        ids = sorted(later)
        for page in range(0, len(ids), _PAGE):
            for row in connection.execute(free.where(ITEMS.c.lead_id.in_(ids[page : page + _PAGE]))).all():
                stamp, at = later[row.lead_id]
                if row.stamp == stamp:
                    connection.execute(update(ITEMS).where(ITEMS.c.lead_id == row.lead_id).values(not_before=at))
