"""What the queue adds: borrowers reached again within 30 days, those offered against those held out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sqrt

from sqlalchemy import select

from algorithms.contact.store import BORROWERS, PEOPLE, Store

WITHIN = timedelta(days=30)
FEWEST = 50  # borrowers on either side, and 5 reached and 5 not on both together: below that a rate says little
_Z = 1.959964  # of a two-sided 95 % interval


@dataclass(frozen=True)
class Arm:
    """Borrowers of one side; `low` and `high` bound the rate with 95 % (Wilson); None where there is nobody."""

    borrowers: int
    reached: int

    @property
    def rate(self) -> float | None:
        """Share reached, in [0, 1]."""
        return self.reached / self.borrowers if self.borrowers else None

    @property
    def low(self) -> float | None:
        """Lower bound of the rate."""
        return _wilson(self.reached, self.borrowers)[0] if self.borrowers else None

    @property
    def high(self) -> float | None:
        """Upper bound of the rate."""
        return _wilson(self.reached, self.borrowers)[1] if self.borrowers else None


@dataclass(frozen=True)
class Uplift:
    """Both sides and the difference of their rates, offered less held out, with its 95 % interval.

    `enough` is False where there are too few to say anything; the interval is then None. `waiting`: borrowers whose 30
    days are not over. `mixed`: loans left out because their borrower has loans on both sides.
    """

    offered: Arm
    held_out: Arm
    difference: float | None
    low: float | None
    high: float | None
    enough: bool
    waiting: int
    mixed: int
    sentence: str


def uplift(store: Store, now: datetime) -> Uplift:
    """Compare those who were offered with those held out, from the day on which a loan came to have leads.

    All who could have been called count, called or not: whom collectors choose to call would else decide the figure.
    Reached is who was spoken to as the right person, by the record of the lender or ours, or is told reachable by a
    later night, within 30 days (inclusive). One human counts once on a side and day.
    """
    query = select(BORROWERS, PEOPLE.c.person_id).join(
        PEOPLE, PEOPLE.c.applicant_id == BORROWERS.c.applicant_id, isouter=True
    )
    with store.reading() as connection:
        rows = connection.execute(query).mappings().all()
    sides: dict[str, set[bool]] = {}
    for row in rows:
        sides.setdefault(row["person_id"] or row["applicant_id"], set()).add(row["holdout"])
    entries: dict[tuple[str, datetime, bool], bool] = {}
    mixed = waiting = 0
    for row in rows:
        who = row["person_id"] or row["applicant_id"]
        if len(sides[who]) == 2:
            mixed += 1
        elif row["entered_at"] + WITHIN > now:
            waiting += 1
        else:
            reached = row["reached_at"] is not None and row["reached_at"] <= row["entered_at"] + WITHIN
            key = (who, row["entered_at"], row["holdout"])
            entries[key] = entries.get(key, False) or reached
    arms = {}
    for side in (False, True):
        told = [reached for (_, _, holdout), reached in entries.items() if holdout is side]
        arms[side] = Arm(len(told), sum(told))
    return _compared(arms[False], arms[True], waiting, mixed)


def _compared(offered: Arm, held_out: Arm, waiting: int, mixed: int) -> Uplift:
    reached, all_of_them = offered.reached + held_out.reached, offered.borrowers + held_out.borrowers
    fewest = min(offered.borrowers, held_out.borrowers)
    enough = fewest >= FEWEST and reached >= 5 and all_of_them - reached >= 5
    if offered.rate is None or held_out.rate is None or not enough:
        sentence = (
            f"Too few to say what the queue adds: {offered.borrowers:,} borrowers offered and {held_out.borrowers:,} "
            f"held out have had their 30 days; each side needs {FEWEST}. {waiting:,} are still waiting for theirs."
        )
        return Uplift(offered, held_out, None, None, None, False, waiting, mixed, sentence)
    low, high = _newcombe(offered, held_out)
    difference = offered.rate - held_out.rate
    verdict = (
        "The queue reaches more borrowers than happens without it."
        if low > 0
        else "The queue reaches fewer borrowers than happens without it."
        if high < 0
        else "That is no proof that the queue adds anything: the interval holds zero."
    )
    sentence = (
        f"Reached within 30 days: {offered.rate:.1%} of those offered, {held_out.rate:.1%} of those held out, "
        f"{difference * 100:+.1f} points (95 %: {low * 100:+.1f} to {high * 100:+.1f}). {verdict}"
    )
    return Uplift(offered, held_out, difference, low, high, True, waiting, mixed, sentence)


def _wilson(hits: int, of: int) -> tuple[float, float]:
    """Return the interval of a rate (Wilson 1927, "Probable inference")."""
    rate, square = hits / of, _Z * _Z
    middle = rate + square / (2 * of)
    spread = _Z * sqrt(rate * (1 - rate) / of + square / (4 * of * of))
    return max(0.0, (middle - spread) / (1 + square / of)), min(1.0, (middle + spread) / (1 + square / of))


def _newcombe(a: Arm, b: Arm) -> tuple[float, float]:
    """Return the interval of the difference of two rates (Newcombe 1998, "Interval estimation …", method 10)."""
    p, q = a.reached / a.borrowers, b.reached / b.borrowers
    (a_low, a_high), (b_low, b_high) = _wilson(a.reached, a.borrowers), _wilson(b.reached, b.borrowers)
    return (
        p - q - sqrt((p - a_low) ** 2 + (b_high - q) ** 2),
        p - q + sqrt((a_high - p) ** 2 + (q - b_low) ** 2),
    )
