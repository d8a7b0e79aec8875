"""The fourteen kinds of fraud ring: each planter turns reserved people into one ring and writes down who did what.

Sizes are 3-12 (small), 20-60 (medium) or 300 and more (rare, only kinds that grow that large, only in large worlds).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ingest.synthetic.books import OUTSIDERS_FROM, nickname, relative_phone
from ingest.synthetic.numbering import Ints
from ingest.synthetic.population import ONLINE_CHANNELS, SALES_PER_BLOCK, Block, same_human
from ingest.synthetic.settings import DAY

SHELL_EMPLOYERS_FROM = 8_500_000  # employer indexes below are honest; a block has 1,000 of its own from here
FARM_HANDSETS_PER_BLOCK = 4_000


@dataclass(frozen=True)
class Draft:
    """A ring about to be planted: its reserved members in order of joining, and their moments of applying."""

    ring_id: str
    members: Ints
    joined: Ints


def _note(block: Block, draft: Draft, typology: str, roles: str | list[str]) -> None:
    each = [roles] * len(draft.members) if isinstance(roles, str) else roles
    for member, role, joined in zip(draft.members, each, draft.joined, strict=True):
        block.truth.rings.append((draft.ring_id, typology, int(member), role, int(joined)))


def _core_first(draft: Draft, core: str = "core") -> list[str]:
    return [core] + ["member"] * (len(draft.members) - 1)


def _new_phones(block: Block, members: Ints, days: tuple[int, int] = (4, 25)) -> None:
    p = block.people
    p.phone_opened[members] = p.applied[members] - block.rng.integers(days[0] * DAY, days[1] * DAY, len(members))


def _quiet(block: Block, members: Ints, calls: float = 0.5, book: int = 12) -> None:
    block.people.calls[members] = calls
    block.people.book[members] = np.minimum(block.people.book[members], book)


def _device_fan_out(block: Block, draft: Draft) -> None:
    p, first = block.people, draft.members[0]
    for values in (p.device, p.imei, p.handset):
        values[draft.members] = values[first]
    _new_phones(block, draft.members)
    _note(block, draft, "device_fan_out", _core_first(draft))


def _application_burst(block: Block, draft: Draft) -> None:
    p, m = block.people, draft.members
    p.channel[m] = 0
    p.ip[m] = p.ip[m[0]]
    p.book[m] = 60 + np.arange(len(m)) % 3
    p.amount[m] = 20_000
    p.holder_known[m] = True
    _new_phones(block, m)
    _note(block, draft, "application_burst", "member")


def _sim_handset_rotation(block: Block, draft: Draft) -> None:
    p, m = block.people, draft.members
    handsets = m[: max(2, len(m) // 3)]
    for turn in range(4):
        used = handsets[np.arange(len(m)) % len(handsets)]
        block.add("devices", owner=m, device=p.device[used], imei=p.imei[used], iccid=p.iccid[np.roll(m, turn)],
                  handset=p.handset[used], at=draft.joined - (turn + 1) * 7_200, known_from=draft.joined)  # fmt: skip
    _new_phones(block, m)
    _note(block, draft, "sim_handset_rotation", _core_first(draft))


def _phone_farm(block: Block, draft: Draft) -> None:
    p, m = block.people, draft.members
    used = sum(r[1] == "phone_farm" for r in block.truth.rings)
    start = block.number * FARM_HANDSETS_PER_BLOCK + used
    p.imei[m] = block.numbers.farm_imei(start + np.arange(len(m), dtype=np.int64))
    p.handset[m] = 3
    p.wifi[m], p.ip[m] = p.wifi[m[0]], p.ip[m[0]]
    p.phone_opened[m] = p.applied[m[0]] - 30 * DAY
    _quiet(block, m)
    _note(block, draft, "phone_farm", _core_first(draft, "operator"))


def agent_calls(block: Block, members: Ints, agent: int, each: tuple[int, int]) -> None:
    """Let every member call a helper's number some times in the ten days before applying."""
    p, rng = block.people, block.rng
    caller = np.repeat(members, rng.integers(each[0], each[1], len(members)))
    at = p.applied[caller] - rng.integers(3_600, 10 * DAY, len(caller))
    block.call(p.phone[caller], agent, at, rng.integers(40, 600, len(caller)), p.applied[caller])


def _packaging_agent_star(block: Block, draft: Draft) -> None:
    p, m = block.people, draft.members
    agent = int(block.numbers.mobile(block.persons(m[:1]), 3)[0])  # a hidden number: no applicant's own
    agent_calls(block, m, agent, (3, 8))
    p.employer[m] = p.employer[m[0]]
    _new_phones(block, m, (11, 25))
    _note(block, draft, "packaging_agent_star", "member")


def _ab_loan(block: Block, draft: Draft) -> None:
    p, m = block.people, draft.members
    p.channel[m] = ONLINE_CHANNELS + block.rng.integers(0, SALES_PER_BLOCK)
    half = len(m) // 2
    witness, borrower = m[:half], m[half:]
    partner = witness[np.arange(len(borrower)) % half]
    for a, b in ((borrower, partner), (partner, borrower)):
        block.contact(a, p.phone[b], nickname(p.name[b]).to_numpy(), "relative", True, p.applied[a])
    p.approved[witness], p.approved[borrower], p.bad[m] = True, False, True
    p.amount[witness] *= 2
    at = np.minimum(p.applied[partner] + 2 * DAY, block.settings.end - 1)
    for owner in (partner, borrower):
        block.add("relations", kind="OWNS_ACCOUNT", src=owner, dst=owner, at=at, amount=-1, score=-1.0)
    block.add("relations", kind="TRANSFERRED", src=partner, dst=borrower, at=at, amount=p.amount[partner], score=-1.0)
    _note(block, draft, "ab_loan", ["witness"] * half + ["borrower"] * (len(m) - half))


def _shell_employer(block: Block, draft: Draft) -> None:
    p, m = block.people, draft.members
    shells = len({r[0] for r in block.truth.rings if r[1] == "shell_employer"})
    p.employer[m] = SHELL_EMPLOYERS_FROM + block.number * 1_000 + shells
    p.house[m] = p.house[m[0]]
    p.room[m] = 101
    _note(block, draft, "shell_employer", _core_first(draft))


def _shared_address(block: Block, draft: Draft) -> None:
    p, m = block.people, draft.members
    p.house[m] = p.house[m[0]]
    p.room[m] = 201 + np.arange(len(m)) % 40
    _note(block, draft, "shared_address", "member")


def _address_book_clone(block: Block, draft: Draft) -> None:
    p, m, rng = block.people, draft.members, block.rng
    size = int(rng.integers(80, 160))
    lender = block.persons(m[0])
    slots = np.arange(size, dtype=np.int64)
    pool = block.numbers.slots - OUTSIDERS_FROM
    book = block.numbers.mobile(lender + slots // pool, OUTSIDERS_FROM + slots % pool)
    names = np.array(nickname(rng.integers(0, 100, size) * 10_000).to_list())
    for member in m:
        kept = rng.random(size) > 0.02
        kept[:8] = True
        block.contact(member, book[kept], names[kept], "address_book", False, p.applied[member])
    p.book[m] = 3  # their own few; the rest is padding
    p.calls[m] = 0.7
    p.emergency[m] = 2
    _note(block, draft, "address_book_clone", _core_first(draft))


def _circular_emergency_contacts(block: Block, draft: Draft) -> None:
    p, m = block.people, draft.members
    following = np.roll(m, -1)
    block.contact(m, p.phone[following], nickname(p.name[following]).to_numpy(), "friend", True, p.applied[m])
    at = np.minimum(np.maximum(p.applied[m], p.applied[following]) + DAY, block.settings.end - 1)
    block.add("relations", kind="GUARANTEES", src=m, dst=following, at=at, amount=p.amount[following], score=-1.0)
    p.emergency[m] = 0
    p.approved[m] = True
    _quiet(block, m, 3.0, 30)
    _note(block, draft, "circular_emergency_contacts", "member")


def _identity_kit(block: Block, draft: Draft) -> None:
    p, m = block.people, draft.members
    p.calls[m] = 0.0  # a silent SIM
    p.phone_opened[m] = p.applied[m[0]] - 40 * DAY + np.arange(len(m)) * 300
    p.holder_known[m] = True
    block.add("phones", owner=m, phone=p.phone[m], holder=p.id_code[m], iccid=p.iccid[m], imei=p.imei[m[0]],
              opened=p.phone_opened[m], closed=-1, at=p.applied[m])  # fmt: skip
    block.add("devices", owner=m, device=p.device[m[0]], imei=p.imei[m[0]], iccid=p.iccid[m], handset=p.handset[m[0]],
              at=p.applied[m] - 3 * DAY, known_from=p.applied[m])  # fmt: skip
    _note(block, draft, "identity_kit", "kit")


def _loan_stacking_bust_out(block: Block, draft: Draft) -> None:
    p, m = block.people, draft.members
    half = len(m) // 2
    first, second = m[:half], m[half : 2 * half]
    same_human(block, first, second)
    p.applied[first] = np.minimum(p.applied[first], block.settings.end - 160 * DAY)
    p.applied[second] = np.maximum(p.applied[second], p.applied[first] + 120 * DAY)
    p.bad[m], p.approved[m] = True, True
    p.bad_from[first] = 1
    for wave in (first, second):
        for turn in (1, 2):
            friend = np.roll(first, -turn)
            phone = p.phone[friend] if wave is first else p.phone[np.roll(second, -turn)]
            block.contact(wave, phone, nickname(p.name[friend]).to_numpy(), "friend", False, p.applied[wave])
            block.call(p.phone[wave], phone, p.applied[wave] - turn * DAY, 90, p.applied[wave])
        for place in range(3):  # the same family under old and new number
            block.contact(wave, relative_phone(block, first, place), "妈妈", "parent", place == 0, p.applied[wave])
    p.emergency[m] = 0
    _new_phones(block, second)
    joined = p.applied[m]
    both = Draft(draft.ring_id, m[: 2 * half], joined[: 2 * half])
    _note(block, both, "loan_stacking_bust_out", ["first_wave"] * half + ["second_wave"] * half)


def _camouflage(block: Block, draft: Draft) -> None:
    p, m, rng = block.people, draft.members, block.rng
    one, two = m[0:-1:2], m[1::2]  # pairs below any k share a handset, and pairs hang together by one relative each
    for values in (p.device, p.imei, p.handset):
        values[two] = values[one]
    if len(one) > 1:
        block.contact(one, relative_phone(block, np.roll(one, -1), 1), "二舅", "relative", True, p.applied[one])
    honest = block.bystanders(40)
    if len(honest):
        caller = np.repeat(m, 15)
        at = p.applied[caller] - rng.integers(3_600, 25 * DAY, len(caller))
        called = p.phone[rng.choice(honest, len(caller))]
        block.call(p.phone[caller], called, at, rng.integers(5, 90, len(caller)), p.applied[caller])
    _note(block, draft, "camouflage", "member")


def _insider_channel(block: Block, draft: Draft) -> None:
    p, m = block.people, draft.members
    insider = sum(r[1] == "insider_channel" and r[3] == "core" for r in block.truth.rings) % SALES_PER_BLOCK
    p.channel[m] = ONLINE_CHANNELS + insider
    p.bad[m], p.bad_from[m], p.approved[m] = True, 1, True
    _note(block, draft, "insider_channel", _core_first(draft))


@dataclass(frozen=True)
class Kind:
    """How one typology is planted: sizes when small and medium, days of growth, whether it grows beyond 300."""

    plant: Callable[[Block, Draft], None]
    small: tuple[int, int]
    medium: tuple[int, int]
    growth_days: tuple[float, float]
    mega: bool = False
    old: bool = False  # starts at least 250 days before the end, so that defaults are seen


KINDS: dict[str, Kind] = {
    "device_fan_out": Kind(_device_fan_out, (5, 12), (20, 40), (1, 14)),
    "application_burst": Kind(_application_burst, (5, 12), (20, 60), (0.03, 0.2)),
    "sim_handset_rotation": Kind(_sim_handset_rotation, (4, 12), (20, 40), (5, 30)),
    "phone_farm": Kind(_phone_farm, (6, 12), (20, 60), (3, 20), mega=True),
    "packaging_agent_star": Kind(_packaging_agent_star, (6, 12), (20, 60), (10, 60), mega=True),
    "ab_loan": Kind(_ab_loan, (4, 12), (20, 30), (5, 60)),
    "shell_employer": Kind(_shell_employer, (6, 12), (30, 60), (10, 40), mega=True),
    "shared_address": Kind(_shared_address, (6, 12), (50, 60), (20, 90), mega=True),
    "address_book_clone": Kind(_address_book_clone, (4, 10), (20, 40), (5, 40)),
    "circular_emergency_contacts": Kind(_circular_emergency_contacts, (3, 8), (20, 25), (3, 30), old=True),
    "identity_kit": Kind(_identity_kit, (4, 12), (20, 40), (5, 40)),
    "loan_stacking_bust_out": Kind(_loan_stacking_bust_out, (6, 12), (20, 30), (2, 20), old=True),
    "camouflage": Kind(_camouflage, (6, 12), (20, 40), (120, 240)),
    "insider_channel": Kind(_insider_channel, (6, 12), (20, 40), (30, 150)),
}
_FORCED_SPREAD = 1  # the first ring of each typology is the smallest size or so much above


def _plant(block: Block, typology: str, size: int, index: int) -> int:
    kind, s, p, rng = KINDS[typology], block.settings, block.people, block.rng
    members = block.take(size)
    if len(members) < kind.small[0]:
        return 0
    growth = int(rng.uniform(*kind.growth_days) * DAY)
    latest = s.end - (250 * DAY if kind.old else 0) - growth - 3_600
    start = int(rng.integers(s.start, max(latest, s.start + 1)))
    if rng.random() < 0.25 and not kind.old:  # still growing in the last nights
        start = max(s.start, s.end - growth - int(rng.integers(2 * DAY)))
    joined = np.sort(start + rng.integers(0, max(growth, 1), len(members)))
    if growth > DAY:
        joined = np.sort(block.daytime(joined // DAY))
    joined = np.minimum(joined, s.end - 3_600)
    p.applied[members] = joined
    p.phone_opened[members] = joined - rng.integers(100 * DAY, 1_500 * DAY, len(members))
    p.fraud[members] = True
    p.blanks[members] = False
    p.bad[members] = rng.random(len(members)) < s.bad_share_fraud
    kind.plant(block, Draft(f"R{block.number:05d}-{index:03d}", members, joined))
    return len(members)


def plant_rings(block: Block) -> None:
    """Plant the block's share of rings: in block 0 one small of every typology first, then until the share is met."""
    s, rng = block.settings, block.rng
    forced = sum(kind.small[0] + _FORCED_SPREAD / 2 for kind in KINDS.values())
    budget = s.fraud_share * block.size
    if s.blocks > 1:  # what block 0 holds too much is taken from the others
        over = max(0.0, forced + budget * s.lone_fraud_share - budget)
        budget = budget if block.number == 0 else max(0.0, budget - over / (s.blocks - 1))
    names = list(KINDS)
    rings = 0
    planted = 0
    if block.number == 0:
        for name in names:
            planted += _plant(block, name, KINDS[name].small[0] + int(rng.integers(_FORCED_SPREAD + 1)), rings)
            rings += 1
    large = s.blocks >= s.mega_ring_every_blocks
    if large and block.number % s.mega_ring_every_blocks == s.mega_ring_every_blocks - 1:
        size = int(max(300, budget * s.mega_ring_share * s.mega_ring_every_blocks))
        megas = [n for n in names if KINDS[n].mega]
        planted += _plant(block, str(rng.choice(megas)), size, rings) - size  # paid for by the other blocks too
        rings += 1
    share = 1 - s.lone_fraud_share - (s.mega_ring_share if large else 0)
    turn = int(rng.integers(len(names)))
    while planted < budget * share:
        kind = KINDS[names[(turn + rings) % len(names)]]
        low, high = kind.medium if rng.random() < 0.08 else kind.small
        room = budget * share - planted
        if room < kind.small[0] / 2 or low > 2 * room:
            break
        size = int(rng.integers(low, high, endpoint=True))
        got = _plant(block, names[(turn + rings) % len(names)], size, rings)
        if not got:
            break
        planted += got
        rings += 1
    lone = block.take(int(rng.binomial(block.size, s.fraud_share * s.lone_fraud_share)))
    block.people.fraud[lone] = True
    block.people.bad[lone] = rng.random(len(lone)) < s.bad_share_fraud
