"""Where each node of a ring's picture lies: its members on a circle, what they share inside, what is one's own outside.

The same ring lies the same way every night, whoever looks: nothing is drawn by chance, and nothing is laid out in the
browser.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

_APART = 54.0  # between two nodes of the picture
_ROW = 48.0  # between two rows
Place = tuple[float, float]


def places(members: Sequence[str], others: Sequence[str], links: Iterable[tuple[str, str]]) -> dict[str, Place]:
    """Return a place for each key; no two are nearer than a node is wide.

    Args:
        members: in the order in which they should stand where nothing else says.
        others: every other node.
        links: pairs of keys.
    """
    near = _neighbors([*members, *others], links)
    owners = _owners(set(members), others, near)
    shared = [key for key in others if len(owners[key]) != 1]
    around = _around(members, shared, owners)
    turn = 2 * math.pi / max(1, len(around))
    angles = {key: number * turn - math.pi / 2 for number, key in enumerate(around)}
    found, inside = _inside(shared, owners, angles)
    radius = max(inside + _ROW * 1.4, len(around) * _APART / (2 * math.pi), 90.0) if len(around) > 1 or shared else 0.0
    found |= {key: _at(angle, radius) for key, angle in angles.items()}
    return found | _outside(others, owners, near, angles, radius, turn)


def _neighbors(keys: Sequence[str], links: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    near: dict[str, list[str]] = {key: [] for key in keys}
    for one, other in links:
        near[one].append(other)
        near[other].append(one)
    return near


def _owners(members: set[str], others: Sequence[str], near: Mapping[str, list[str]]) -> dict[str, frozenset[str]]:
    """Return the members that each node hangs on, itself or by way of the nodes between."""
    owners = {key: frozenset(near[key]) & members for key in others}
    for _ in others:
        late = [key for key in others if not owners[key]]
        told = {key: frozenset[str]().union(*(owners.get(n, frozenset()) for n in near[key])) for key in late}
        if not any(told.values()):
            break
        owners |= told
    return owners


def _around(members: Sequence[str], shared: Sequence[str], owners: Mapping[str, frozenset[str]]) -> list[str]:
    """Return the members so that those who share something stand side by side."""
    left = list(members)
    if not left:
        return []
    order = [left.pop(0)]
    holdings = {member: {key for key in shared if member in owners[key]} for member in members}
    while left:
        last = holdings[order[-1]]
        order.append(left.pop(max(range(len(left)), key=lambda n: (len(last & holdings[left[n]]), -n))))
    return order


def _inside(
    shared: Sequence[str], owners: Mapping[str, frozenset[str]], angles: Mapping[str, float]
) -> tuple[dict[str, Place], float]:
    """Return the places of what is shared, in rows around the middle, and the radius of the last row."""
    if len(shared) == 1:
        return {shared[0]: (0.0, 0.0)}, 0.0
    found: dict[str, Place] = {}
    rest, radius = sorted(shared, key=lambda key: -len(owners[key])), 0.0
    while rest:
        radius += _ROW
        room = max(2, int(2 * math.pi * radius / _APART))
        row, rest = rest[:room], rest[room:]
        row.sort(key=lambda key: _mean([angles[member] for member in owners[key]]))
        first = _mean([angles[member] for member in owners[row[0]]])
        found |= {key: _at(first + 2 * math.pi * n / len(row), radius) for n, key in enumerate(row)}
    return found, radius


def _outside(
    others: Sequence[str],
    owners: Mapping[str, frozenset[str]],
    near: Mapping[str, list[str]],
    angles: Mapping[str, float],
    radius: float,
    turn: float,
) -> dict[str, Place]:
    """Return the places of what is one member's own: behind the member, within its share of the circle."""
    found: dict[str, Place] = {}
    for member, angle in angles.items():
        own = [key for key in others if owners[key] == {member}]
        row = 1
        for these in ([key for key in own if member in near[key]], [key for key in own if member not in near[key]]):
            left = these
            while left:
                far = radius + row * _ROW
                room = max(1, int(min(turn, math.pi) * far * 0.92 / _APART))
                found |= _fan(left[:room], angle, far)
                left, row = left[room:], row + 1
    return found


def _fan(keys: Sequence[str], angle: float, radius: float) -> dict[str, Place]:
    """Return places side by side around a direction."""
    middle = (len(keys) - 1) / 2
    return {key: _at(angle + (n - middle) * _APART / radius, radius) for n, key in enumerate(keys)}


def _mean(angles: Sequence[float]) -> float:
    """Return the direction between some directions; 0 where they cancel out or there are none."""
    x, y = sum(map(math.cos, angles)), sum(map(math.sin, angles))
    return math.atan2(y, x) if abs(x) + abs(y) > 1e-9 else 0.0


def _at(angle: float, radius: float) -> Place:
    return (round(radius * math.cos(angle), 1), round(radius * math.sin(angle), 1))
