"""Address books, named contacts and calls: one pure function says whom a person knows, and all three draw from it.

The k-th acquaintance of a person is a hash of (person, k), so that calls go to people in the book without a stored
book, and one block can name another's people.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from ingest.synthetic.numbering import Ints
from ingest.synthetic.population import Block
from ingest.synthetic.settings import DAY
from ingest.synthetic.vocabulary import BOOK_NAMES, GIVEN_NAMES, ROLE_WORDS, SERVICE_NAMES, SERVICES, SURNAMES

Arrays = dict[str, Any]
OUTSIDERS_FROM = 4  # first slot of a person that belongs to an outsider
_FAMILY = ("spouse", "parent", "parent", "sibling", "relative", "colleague", "friend", "other")  # the closest outsiders
_NAMES = pl.concat([BOOK_NAMES, SERVICE_NAMES, pl.Series("name", [w for words in ROLE_WORDS.values() for w in words])])
_NICKNAMES = pl.Series("name", [name for s in SURNAMES for name in ("小" + s, "老" + s, s + "哥")])


def nickname(name: Ints) -> pl.Series:
    """The one nickname by which everybody's book calls a person of this name code."""
    return _NICKNAMES.gather(name // 10_000 * 3 + name % 3)


def full_name(name: Ints) -> pl.Series:
    """Surname and given name of a name code."""
    surname = pl.Series("name", SURNAMES).gather(name // 10_000)
    return surname + pl.Series("name", GIVEN_NAMES).gather(name % len(GIVEN_NAMES))


def relative_phone(block: Block, local: Ints, place: Ints | int) -> Ints:
    """Number of the `place`-th of a person's eight closest outsiders (spouse, two parents, ... as in `_FAMILY`)."""
    return block.numbers.mobile(block.persons(local), OUTSIDERS_FROM + np.asarray(place))


def acquaintances(block: Block, local: Ints, k: Ints) -> tuple[Ints, Ints, Ints]:
    """Return phone, local index (-1 = not an applicant of this block) and 64 random bits of the k-th acquaintances."""
    n, first, numbers = block.size, block.first, block.numbers
    bits = numbers.opaque(block.persons(local) * 16_384 + k, 1)
    toss = (bits % np.uint64(1_000)).astype(np.int64)
    near = ((bits >> np.uint64(10)) % np.uint64(20)).astype(np.int64) - 10
    other = (local + np.where(near >= 0, near + 1, near)) % n
    rest = ((bits >> np.uint64(16)) % np.uint64(2**40)).astype(np.int64)

    pool = numbers.slots - OUTSIDERS_FROM
    flat = (local * pool + k) % (n * pool)  # a book longer than the own pool runs over into the neighbor's
    friends = (other * pool + rest % min(30, pool)) % (n * pool)
    flat = np.where((toss >= 130) & (toss < 250) & (k >= len(_FAMILY)), friends, flat)
    phone = numbers.mobile(first + flat // pool, OUTSIDERS_FROM + flat % pool)

    inside = toss < 45
    abroad = (toss >= 45) & (toss < 60)
    service = (toss >= 60) & (toss < 100) & (k >= len(_FAMILY))
    line = (toss >= 100) & (toss < 130) & (k >= len(_FAMILY))
    phone[inside] = block.people.phone[other[inside]]
    far = (first + n + rest[abroad] % (2 * n)) % block.settings.applicants
    phone[abroad] = numbers.mobile(far)
    phone[service] = SERVICES[rest[service] % len(SERVICES)]
    place = first // 12 + rest[line] % max(1, n // 12)
    phone[line] = numbers.landline(place)
    known = np.where(inside, other, -1)
    known[service] = -2 - rest[service] % len(SERVICES)
    return phone, known, rest


def contact_rows(block: Block) -> Arrays:
    """Every contact row of the block: owner, phone, name, relation, emergency, at (local second)."""
    p = block.people
    size = p.book
    owner = np.repeat(np.arange(block.size, dtype=np.int64), size)
    k = np.arange(len(owner), dtype=np.int64) - np.repeat(np.cumsum(size) - size, size)
    phone, known, rest = acquaintances(block, owner, k)
    names = _NAMES.gather((rest % 2_000) * ((rest >> 12) % 2_000) // 2_000)
    service = np.flatnonzero(known < -1)
    names = names.scatter(service, SERVICE_NAMES.gather(-2 - known[service]))
    inside = np.flatnonzero(known >= 0)
    names = names.scatter(inside, nickname(p.name[known[inside]]))
    names = names.scatter(np.flatnonzero((rest >> 24) % 10_000 < block.settings.unknown_name_share * 10_000), None)
    family = np.flatnonzero((k < len(_FAMILY)) & (known == -1))
    words = [ROLE_WORDS[r] for r in _FAMILY]
    names = names.scatter(family, [words[a][b % len(words[a])] for a, b in zip(k[family], rest[family], strict=True)])

    named, place = _emergency(block)
    extra = block.extra("contacts", {"owner": 0, "phone": 0, "name": "", "relation": "", "emergency": False, "at": 0})
    relation = np.concatenate([np.array(_FAMILY)[place], extra["relation"]])
    emergency_names = [words[a][int(o) % len(words[a])] for a, o in zip(place, named, strict=True)]
    return {
        "owner": np.concatenate([owner, named, extra["owner"]]),
        "phone": np.concatenate([phone, relative_phone(block, named, place), extra["phone"]]),
        "name": pl.concat(
            [
                names,
                pl.Series("name", emergency_names, dtype=pl.String),
                pl.Series("name", [str(x) or None for x in extra["name"]], dtype=pl.String),
            ]
        ),
        "relation": pl.concat(
            [
                pl.repeat("address_book", len(owner), dtype=pl.String, eager=True).alias("r"),
                pl.Series("r", relation.tolist(), dtype=pl.String),
            ]
        ),
        "emergency": np.concatenate([np.zeros(len(owner), bool), np.ones(len(named), bool), extra["emergency"]]),
        "at": np.concatenate([p.applied[owner], p.applied[named], extra["at"]]),
    }


def _emergency(block: Block) -> tuple[Ints, Ints]:
    """Owner and place among the eight closest of each honest emergency contact; the closest are named first."""
    count = block.people.emergency
    owner = np.repeat(np.arange(block.size, dtype=np.int64), count)
    k = np.arange(len(owner), dtype=np.int64) - np.repeat(np.cumsum(count) - count, count)
    turn = (block.numbers.opaque(block.persons(owner), 2) % np.uint64(5)).astype(np.int64)
    return owner, (turn + k * 2) % len(_FAMILY)


def call_rows(block: Block) -> Arrays:
    """Every call row: phone, other, out, at, seconds, known_from (when the lender could first read it)."""
    p, s, rng = block.people, block.settings, block.rng
    logged = s.call_days_before_application
    before = rng.poisson(p.calls * logged / 30)
    recent_start = (s.first_day - s.call_days_recent) * DAY
    start = np.maximum(p.applied, recent_start)
    recent = rng.poisson(p.calls * np.maximum(s.end - start, 0) / (30 * DAY))
    parts = []
    for count, begin, length in (
        (before, p.applied - logged * DAY, np.full(block.size, logged * DAY)),
        (recent, start, np.maximum(s.end - start, 1)),
    ):
        owner = np.repeat(np.arange(block.size, dtype=np.int64), count)
        moment = begin[owner] + (rng.random(len(owner)) * length[owner]).astype(np.int64)
        night = moment % DAY < 7 * 3_600
        moment = np.where(night & (rng.random(len(owner)) < 0.9), moment // DAY * DAY + 43_200 + moment % DAY, moment)
        moment = np.minimum(moment, begin[owner] + length[owner] - 1)
        parts.append((owner, moment))
    owner = np.concatenate([a for a, _ in parts])
    at = np.concatenate([b for _, b in parts])
    closeness = np.floor(rng.exponential(1.0, len(owner)) ** 1.5 * 6).astype(np.int64)
    other, known, _ = acquaintances(block, owner, closeness % np.maximum(p.book[owner], 1))
    stranger = np.flatnonzero((rng.random(len(owner)) < 0.08) & (known == -1))
    far = (owner[stranger] + rng.integers(0, block.size, len(stranger))) % block.size
    slot = rng.integers(min(40, block.numbers.slots // 2), block.numbers.slots, len(stranger))
    other[stranger] = block.numbers.mobile(block.persons(far), slot)
    seconds = np.where(rng.random(len(owner)) < 0.22, 0, rng.lognormal(4.0, 1.1, len(owner)).astype(np.int64) + 1)
    own = np.where(at >= p.changed[owner], block.numbers.mobile(block.persons(owner), 1), p.phone[owner])
    base = {
        "phone": own, "other": other, "out": rng.random(len(owner)) < 0.53, "at": at,
        "seconds": np.minimum(seconds, 7_200), "known_from": p.applied[owner],
    }  # fmt: skip
    extra = block.extra("calls", {"phone": 0, "other": 0, "out": True, "at": 0, "seconds": 0, "known_from": 0})
    heard = at < p.silent[owner]
    return {name: np.concatenate([values[heard], extra[name]]) for name, values in base.items()}
