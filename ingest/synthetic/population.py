"""The people of one block as arrays, and the notebook in which planters write what they add to them.

A person here is an applicant (a customer number); `human` says which of them are the same human being.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ingest.synthetic.numbering import Ints, Numbers, is_male
from ingest.synthetic.settings import DAY, WorldSettings

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
NEVER = np.iinfo(np.int64).max
ONLINE_CHANNELS = 6
SALES_PER_BLOCK = 20


@dataclass
class People:
    """One array entry per applicant of the block. Codes are those of `numbering`; -1 = none."""

    human: Ints  # local index of the first applicant who is the same human
    id_code: Ints
    name: Ints  # surname * number of given names + given name
    applied: Ints  # local second of the first application
    phone: Ints  # number given at that application
    phone_opened: Ints  # local second
    device: Ints  # device slot
    imei: Ints
    iccid: Ints
    handset: Ints  # row of vocabulary.HANDSETS
    ip: Ints
    wifi: Ints
    house: Ints
    room: Ints
    employer: Ints  # employer index
    channel: Ints  # below ONLINE_CHANNELS: online; else a sales id of the block
    amount: Ints
    book: Ints  # entries of the address book
    calls: Floats  # calls a month
    emergency: Ints  # honest emergency contacts that are still to be drawn
    fraud: Bools
    bad: Bools  # stops paying
    bad_from: Ints  # first instalment that is not paid, from 1
    blanks: Bools  # leaves optional fields blank
    holder_known: Bools  # the carrier reports the holder's id number
    approved: Bools
    changed: Ints  # local second from which the second own number is used; NEVER if it is not
    silent: Ints  # local second from which the lender sees no call or log-in; NEVER if it always does
    reserved: Bools  # taken by a planter; no other planter may use this person


@dataclass
class Truth:
    """Rows of the truth files, with applicants as local indexes."""

    rings: list[tuple[str, str, int, str, int]] = field(default_factory=list)
    lookalikes: list[tuple[str, str, int]] = field(default_factory=list)
    lost: list[tuple[str, int, str, str, str, bool]] = field(default_factory=list)


@dataclass
class Block:
    """A block while it is being made: people, extra rows by source, truth, and its only source of randomness."""

    settings: WorldSettings
    number: int
    first: int
    size: int
    numbers: Numbers
    rng: np.random.Generator
    people: People
    truth: Truth = field(default_factory=Truth)
    extras: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    spares: list[int] = field(default_factory=list)  # reserved people who may come back as known ones
    _queue: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._queue = [int(i) for i in self.rng.permutation(self.size)]

    def take(self, count: int, applied_before: int | None = None) -> Ints:
        """Reserve up to `count` people nobody has reserved; fewer in a block that runs out of them."""
        taken: list[int] = []
        left: list[int] = []
        people = self.people
        for i in self._queue:
            fits = applied_before is None or people.applied[i] < applied_before
            if len(taken) < count and fits and not people.reserved[i]:
                taken.append(i)
            elif not people.reserved[i]:
                left.append(i)
        self._queue = left
        found = np.array(taken, dtype=np.int64)
        people.reserved[found] = True
        return found

    def bystanders(self, count: int) -> Ints:
        """Draw unreserved people without reserving them: honest people whom a planter's rows may touch."""
        free = np.flatnonzero(~self.people.reserved & ~self.people.fraud)
        return self.rng.choice(free, size=min(count, len(free)), replace=False) if len(free) else free

    def persons(self, local: Ints | int) -> Ints:
        """World-wide index of local people."""
        return np.asarray(local, dtype=np.int64) + self.first

    def add(self, source: str, **columns: Any) -> None:
        """Note extra rows of a source; single values are repeated to the length of the others, which may be none."""
        arrays = {name: np.atleast_1d(np.asarray(value)) for name, value in columns.items()}
        lengths = {len(a) for a in arrays.values()} - {1}
        rows = lengths.pop() if lengths else 1
        if lengths:
            raise ValueError(f"extra {source} rows need columns of one length; found {sorted([rows, *lengths])}")
        self.extras[source].append({n: np.broadcast_to(a, (rows,)) if len(a) == 1 else a for n, a in arrays.items()})

    def extra(self, source: str, columns: dict[str, Any]) -> dict[str, npt.NDArray[Any]]:
        """All extra rows of a source as one array per column; `columns` gives each one's default."""
        parts = self.extras.get(source, [])
        return {
            name: np.concatenate(
                [part[name] if name in part else np.full(len(next(iter(part.values()))), default) for part in parts]
            ) if parts else np.array([], dtype=np.asarray(default).dtype)
            for name, default in columns.items()
        }  # fmt: skip

    def call(self, phone: Any, other: Any, at: Any, seconds: Any = 60, known_from: Any = 0) -> None:
        """Note outgoing calls; `known_from` is when the lender first could read them."""
        self.add("calls", phone=phone, other=other, out=True, at=at, seconds=seconds, known_from=known_from)

    def contact(self, owner: Any, phone: Any, name: Any, relation: str, emergency: bool, at: Any) -> None:
        """Note contacts of people, named as given."""
        self.add("contacts", owner=owner, phone=phone, name=name, relation=relation, emergency=emergency, at=at)

    def daytime(self, day: Ints | int, size: int | None = None) -> Ints:
        """Local seconds at an hour honest people are awake, on the given days."""
        shape = size if size is not None else np.shape(day)
        second = np.clip(self.rng.normal(15 * 3_600, 3.6 * 3_600, shape), 7 * 3_600, 23.9 * 3_600)
        return np.asarray(np.asarray(day) * DAY + second.astype(np.int64), dtype=np.int64)


def _sizes(rng: np.random.Generator, settings: WorldSettings, n: int) -> tuple[Ints, Floats]:
    book = np.exp(rng.normal(np.log(settings.book_median), settings.book_sigma, n)).astype(np.int64)
    tail = rng.random(n) < settings.call_tail_share
    alpha = settings.call_tail_alpha
    pareto = 5 * (1 + rng.pareto(alpha, n))
    body = rng.lognormal(-0.32, 0.8, n)  # mean 1
    weight = np.where(tail, np.minimum(pareto, 60), body)
    mean = (1 - settings.call_tail_share) + settings.call_tail_share * 5 * alpha / (alpha - 1)
    return np.clip(book, 3, settings.book_limit), settings.calls_per_month * weight / mean


def new_block(settings: WorldSettings, number: int) -> Block:
    """Return a block of honest strangers, each with an own number, handset, home and job."""
    first, stop = settings.bounds(number)
    n = stop - first
    rng = np.random.default_rng([settings.seed, number])
    numbers = Numbers(settings.applicants, settings.seed)
    local = np.arange(n, dtype=np.int64)
    person = local + first
    days = rng.integers(settings.start // DAY, settings.end // DAY, n)
    book, calls = _sizes(rng, settings, n)
    id_code = numbers.id_code(person)
    surname = np.minimum(rng.geometric(0.03, n) - 1, 99)
    employer = rng.random(n) ** 1.5  # the largest has 3 % of a small block
    sales = ONLINE_CHANNELS + rng.integers(0, SALES_PER_BLOCK, n)
    people = People(
        human=local.copy(),
        id_code=id_code,
        name=surname * 10_000 + rng.integers(0, 10_000, n),
        applied=np.zeros(n, dtype=np.int64),
        phone=numbers.mobile(person),
        phone_opened=np.zeros(n, dtype=np.int64),
        device=person * 4,
        imei=numbers.imei(person),
        iccid=numbers.iccid(person),
        handset=rng.integers(0, 12, n),
        ip=person * 2,
        wifi=person * 2,
        house=person.copy(),
        room=rng.integers(101, 3_200, n),
        employer=first // 12 + (employer * max(1, n // 12)).astype(np.int64),
        channel=np.where(rng.random(n) < 0.55, rng.integers(0, ONLINE_CHANNELS, n), sales),
        amount=(np.clip(rng.lognormal(9.2, 0.7, n), 1_000, 200_000) // 100 * 100).astype(np.int64),
        book=book,
        calls=calls,
        emergency=np.minimum(rng.poisson(settings.emergency_contacts - 0.9, n) + 1, 4),
        fraud=np.zeros(n, dtype=bool),
        bad=rng.random(n) < settings.bad_share,
        bad_from=rng.integers(1, 4, n),
        blanks=np.ones(n, dtype=bool),
        holder_known=rng.random(n) < 0.85,
        approved=rng.random(n) < settings.approved_share,
        changed=np.full(n, NEVER),
        silent=np.full(n, NEVER),
        reserved=np.zeros(n, dtype=bool),
    )
    block = Block(settings, number, first, n, numbers, rng, people)
    people.applied = block.daytime(days)
    people.phone_opened = people.applied - (rng.exponential(1_100, n) * DAY).astype(np.int64) - 120 * DAY
    _second_numbers(block)
    _couples(block)
    return block


def _second_numbers(block: Block) -> None:
    """Let a few people come back as a second customer number of the same human, mostly with the same phone."""
    p, rng = block.people, block.rng
    count = int(block.size * block.settings.reapplication_share)
    if count == 0:
        return
    later, earlier = block.take(count), block.take(count)
    count = min(len(later), len(earlier))
    later, earlier = later[:count], earlier[:count]
    same_human(block, earlier, later)
    keeps = rng.random(count) < 0.7
    for values in (p.phone, p.device, p.imei, p.iccid, p.phone_opened):
        values[later[keeps]] = values[earlier[keeps]]
    last = block.settings.end - 2 * DAY
    p.applied[later] = np.minimum(np.maximum(p.applied[later], p.applied[earlier] + 20 * DAY), last)
    p.applied[earlier] = np.minimum(p.applied[earlier], p.applied[later] - DAY)


def same_human(block: Block, earlier: Ints, later: Ints) -> None:
    """Make each `later` applicant the same human being as the `earlier` one beside it."""
    p = block.people
    for values in (p.human, p.id_code, p.name, p.house, p.room, p.employer):
        values[later] = values[earlier]


def _couples(block: Block) -> None:
    """Let some neighbors share a household and name one another as spouse."""
    p = block.people
    count = int(block.size * block.settings.couple_share / 2)
    both = block.take(2 * count)
    one, other = both[: len(both) // 2], both[len(both) // 2 : len(both) // 2 * 2]
    if not len(one):
        return
    for values in (p.house, p.room, p.wifi, p.ip):
        values[other] = values[one]
    for a, b in ((one, other), (other, one)):
        block.contact(a, p.phone[b], np.where(is_male(p.id_code[b]), "老公", "老婆"), "spouse", True, p.applied[a])
    p.emergency[both] = np.maximum(p.emergency[both] - 1, 0)
