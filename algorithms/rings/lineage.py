"""Which of tonight's rings is which of the nights before: ids that survive, and what became of each ring.

Follows the life events of evolving communities (Palla, Barabási, Vicsek 2007; Greene, Doyle, Cunningham 2010): rings
of two nights are kin when they share half of the smaller one, and each old name goes to the kin that overlaps it most.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Status = Literal["born", "same", "grown", "merged", "split", "dissolved"]
_KIN = 0.5


@dataclass(frozen=True)
class Descent:
    """A ring's id tonight, what happened to it, and the rings it came from beside itself."""

    ring_id: str
    status: Status
    parents: tuple[str, ...] = ()


def new_id(members: Sequence[str], day: str) -> str:
    """Return the id of a ring born on `day` with these members: the same for the same input."""
    digest = hashlib.blake2b("\n".join([day, *sorted(members)]).encode(), digest_size=8)
    return f"ring_{digest.hexdigest()}"


def descend(
    old: Mapping[str, frozenset[str]], new: Sequence[frozenset[str]], day: str
) -> tuple[list[Descent], list[Descent]]:
    """Return the descent of each new ring, in order, and of each old ring that is no more (`dissolved`).

    - same: the ring, with no member it did not have; grown: with members it did not have
    - merged: the ring, and most members of another old one with it (its `parents`)
    - split: half of its members, or more, come from an old ring whose name went to a larger part (its parent)
    - born: none of these. The parents of a dissolved ring are the rings its members are in now.
    """
    holders: dict[str, list[str]] = defaultdict(list)
    for ring_id in sorted(old):
        for person in old[ring_id]:
            holders[person].append(ring_id)
    overlap: dict[tuple[int, str], int] = defaultdict(int)
    for i, members in enumerate(new):
        for person in members:
            for ring_id in holders[person]:
                overlap[i, ring_id] += 1
    kin = {
        pair: shared
        for pair, shared in overlap.items()
        if shared >= 2 and shared >= _KIN * min(len(new[pair[0]]), len(old[pair[1]]))
    }
    name: dict[int, str] = {}
    taken: set[str] = set()
    # Most in common first; of equals the nearer in size, then the older name: never the order of the input.
    order = sorted(kin, key=lambda p: (-kin[p], len(new[p[0]] ^ old[p[1]]), p[1], sorted(new[p[0]])[:1]))
    for i, ring_id in order:
        if i not in name and ring_id not in taken:
            name[i] = ring_id
            taken.add(ring_id)
    told: list[Descent] = []
    heirs: dict[str, list[str]] = defaultdict(list)
    for i, members in enumerate(new):
        absorbed = sorted(
            r for (k, r), n in kin.items() if k == i and r != name.get(i) and r not in taken and n >= _KIN * len(old[r])
        )
        parts = sorted(r for (k, r), n in kin.items() if k == i and r in taken and n >= _KIN * len(members))
        if i in name:
            gained = members - old[name[i]]
            status: Status = "merged" if absorbed else "grown" if gained else "same"
            told.append(Descent(name[i], status, tuple(absorbed)))
        elif parts:
            told.append(Descent(new_id(sorted(members), day), "split", tuple(parts)))
        else:
            told.append(Descent(new_id(sorted(members), day), "born", tuple(absorbed)))
        for ring_id in absorbed:
            heirs[ring_id].append(told[-1].ring_id)
    gone = [Descent(r, "dissolved", tuple(heirs[r])) for r in sorted(old) if r not in taken]
    return told, gone
