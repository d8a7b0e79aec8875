"""Of whom the link model is asked for each borrower: the old numbers, and those with whom they talked most."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from algorithms.leads.contact_events import ContactEvents
from gnn.leads.around import Around

PARTNERS = 5  # of a borrower, those with whom the old numbers had most calls before they failed
MOST = 3.0  # ln of how much likelier or less likely than the average a number is at most

Chances = dict[int, dict[int, float]]  # of a source: ln of the chance of each node, up to a constant
Calls = dict[int, list[tuple[int, float, float]]]  # of a node: the other end, when, and how long


@dataclass(frozen=True)
class Partner:
    """Somebody with whom an old number talked: candidates met for the first time since the silence, and never."""

    node: int
    met: list[int]
    strangers: list[int]


@dataclass(frozen=True)
class Circle:
    """One borrower's numbers as nodes.

    Attributes:
        person: the borrower.
        old: the old numbers.
        candidates: all of them that have events.
        own: those that may be the borrower's own.
        strangers: those to ask with whom no old number had a call.
        partners: the strongest first; none where no candidate may be the borrower's own.
    """

    person: str
    old: list[int]
    candidates: list[int]
    own: list[int]
    strangers: list[int]
    partners: list[Partner]

    @property
    def asked(self) -> bool:
        """Whether a model could say anything of the candidates."""
        return len(self.strangers) > 1 or (len(self.candidates) > 1 and bool(self.partners))

    def guesses(self) -> Iterator[tuple[int, list[int]]]:
        """Yield whose next contact is to be foretold, and among whom; the old numbers first."""
        if len(self.strangers) > 1:
            yield from ((old, self.strangers) for old in self.old)
        if len(self.candidates) > 1:
            yield from ((p.node, p.strangers) for p in self.partners if p.strangers and not p.met)

    def links(self, chances: Chances) -> Iterator[tuple[int, float]]:
        """Yield (candidate, link), of those alone of whom something is known.

        A partner who met candidates since the silence, the first time, is known to have met these and no others.
        """
        if (count := len(self.strangers)) > 1:
            shares = [_shares(chances[old], self.strangers) for old in self.old if old in chances]
            yield from _likelier(shares, self.strangers, count)
        if (count := len(self.candidates)) > 1:
            shares = [
                dict.fromkeys(p.met, 1 / len(p.met)) if p.met else _shares(chances[p.node], p.strangers)
                for p in self.partners
                if p.met or (p.strangers and p.node in chances)
            ]
            yield from _likelier(shares, self.own, count)


def _shares(chances: dict[int, float], nodes: list[int]) -> dict[int, float]:
    logs = np.array([chances[node] for node in nodes])
    share = np.exp(logs - logs.max())
    return dict(zip(nodes, (share / share.sum()).tolist(), strict=True))


def _likelier(shares: list[dict[int, float]], nodes: list[int], count: int) -> Iterator[tuple[int, float]]:
    for node in nodes if shares else ():
        chance = sum(share.get(node, 0.0) for share in shares) / len(shares)
        yield node, float(np.clip(np.log(max(chance * count, 1e-9)), -MOST, MOST))


def circles(near: Around, events: ContactEvents) -> list[Circle]:
    """Return the borrowers with what the calls say of them, the most recently lost first.

    Args:
        events: those of `near` that were known; numbers without one are left out.
    """
    place = {name: i for i, name in enumerate(events.names.tolist())}
    calls = _calls(events)
    found = near.candidates.filter(pl.col("phone").is_in(list(place)))
    by_person = {person: rows for (person,), rows in found.group_by("person_id", maintain_order=True)}
    told = []
    for (person,), rows in near.old.group_by("person_id", maintain_order=True):
        old = [place[phone] for phone in rows["phone"] if phone in place]
        if person not in by_person or not old:
            continue
        mine = by_person[person]
        candidates, own = ([place[phone] for phone in of["phone"]] for of in (mine, mine.filter("own")))
        talked = {other for o in old for other, _, _ in calls[o]}
        strangers = [c for c in candidates if c not in own and c not in talked]
        times = [rows[name].to_list()[0] for name in ("silent_from", "failing_since")]
        partners = list(_partners(old, calls, candidates, own, *times)) if own else []
        told.append(Circle(str(person), old, candidates, own, strangers, partners))
    return told


def _calls(events: ContactEvents) -> Calls:
    calls: Calls = defaultdict(list)
    of = events.where(events.of_kind("call"))
    at = np.searchsorted(events.names, of.names)
    ends = zip(at[of.src].tolist(), at[of.dst].tolist(), of.at.tolist(), of.duration_s.tolist(), strict=True)
    for src, dst, when, seconds in ends:
        calls[src].append((dst, when, seconds))
        calls[dst].append((src, when, seconds))
    return calls


def _partners(
    old: list[int], calls: Calls, candidates: list[int], own: list[int], silent_from: float, failing_since: float
) -> Iterator[Partner]:
    count: dict[int, int] = defaultdict(int)
    for other, at, seconds in (call for o in old for call in calls[o]):
        count[other] += at <= failing_since and seconds > 0
    strongest = sorted((-n, node) for node, n in count.items() if n and node not in own)
    for _, node in strongest[:PARTNERS]:
        first: dict[int, float] = {}
        for other, at, _ in calls[node]:
            first[other] = min(at, first.get(other, np.inf))
        among = [c for c in candidates if c != node]
        met = [c for c in among if first.get(c, -np.inf) > silent_from]
        yield Partner(node, met, [c for c in among if c not in first])
