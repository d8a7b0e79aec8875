"""Honest groups that look like rings: what a rule or a model must not fire on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ingest.synthetic.books import nickname
from ingest.synthetic.numbering import BIRTH_DAYS, TWIN_REGION, Ints
from ingest.synthetic.population import ONLINE_CHANNELS, Block
from ingest.synthetic.rings import SHELL_EMPLOYERS_FROM, agent_calls
from ingest.synthetic.settings import DAY


def _family_device(block: Block, m: Ints) -> None:
    p = block.people
    for values in (p.device, p.imei, p.handset, p.house, p.room, p.wifi, p.ip):
        values[m] = values[m[0]]
    relation = ["spouse", "parent", "child"]
    for place, other in enumerate(m[1:]):
        block.contact(m[0], p.phone[other], nickname(p.name[[other]])[0], relation[place % 3], True, p.applied[m[0]])
        block.contact(other, p.phone[m[0]], nickname(p.name[m[:1]])[0], "relative", True, p.applied[other])
        block.call(p.phone[other], p.phone[m[0]], p.applied[other] - np.arange(1, 8) * DAY, 120, p.applied[other])


def _dormitory_wifi(block: Block, m: Ints) -> None:
    p = block.people
    for values in (p.wifi, p.ip, p.house, p.employer):
        values[m] = values[m[0]]
    p.room[m] = 301 + np.arange(len(m)) // 6


def _phone_shop_device(block: Block, m: Ints) -> None:
    p = block.people
    shop = int(block.persons(m[0])) * 4 + 3
    imei = block.numbers.imei(block.persons(m[:1]), 3)
    at = p.applied[m] - block.rng.integers(600, 3_600, len(m))
    block.add("devices", owner=m, device=shop, imei=imei, iccid=p.iccid[m], handset=1, at=at, known_from=p.applied[m])


def _village_agent(block: Block, m: Ints) -> None:
    p = block.people
    agent = int(p.phone[m[0]])
    agent_calls(block, m[1:], agent, (1, 4))
    block.contact(m[1:], agent, nickname(p.name[m[:1]])[0], "other", False, p.applied[m[1:]])
    p.channel[m] = p.channel[m[0]]
    p.bad[m] = False


def _courier(block: Block, m: Ints) -> None:
    p, rng = block.people, block.rng
    courier = int(block.numbers.mobile(block.persons(m[:1]), 3)[0])
    caller = np.repeat(m, rng.integers(1, 6, len(m)))
    at = p.applied[caller] - rng.integers(3_600, 28 * DAY, len(caller))
    block.add("calls", phone=p.phone[caller], other=courier, out=False, at=at, seconds=25, known_from=p.applied[caller])
    block.contact(m[::2], courier, "快递", "address_book", False, p.applied[m[::2]])


def _company_bulk_sims(block: Block, m: Ints) -> None:
    p, numbers = block.people, block.numbers
    start = int(block.rng.integers(block.settings.start - 400 * DAY, block.settings.start))
    p.phone_opened[m] = start + np.arange(len(m)) * 60
    p.holder_known[m] = False  # the company is the holder
    # Cards from one box: consecutive numbers above all that `Numbers.iccid` gives.
    p.iccid[m] = 9_000_000_000 + block.persons(m[0]) * 100 + np.arange(len(m))
    p.employer[m] = p.employer[m[0]]
    block.contact(m, numbers.landline(p.employer[m[:1]])[0], "公司前台", "colleague", False, p.applied[m])


def _big_honest_employer(block: Block, m: Ints) -> None:
    known = {g[0] for g in block.truth.lookalikes if g[1] == "big_honest_employer"}
    block.people.employer[m] = SHELL_EMPLOYERS_FROM + block.number * 1_000 + 500 + len(known)


def _new_housing_estate(block: Block, m: Ints) -> None:
    p, s = block.people, block.settings
    p.house[m] = p.house[m[0]]
    p.room[m] = 101 + np.arange(len(m)) * 7 % 60 * 50 + np.arange(len(m)) % 4
    day = int(block.rng.integers(s.start // DAY, max(s.start // DAY + 1, s.end // DAY - 90)))
    p.applied[m] = block.daytime(np.minimum(day + block.rng.integers(0, 90, len(m)), s.end // DAY - 1))


def _twins_and_same_names(block: Block, m: Ints) -> None:
    p = block.people
    pair = block.number * 50 + len({g[0] for g in block.truth.lookalikes if g[1] == "twins_and_same_names"}) % 50
    one, two = m[:2]
    base = (TWIN_REGION * BIRTH_DAYS + pair % BIRTH_DAYS) * 1_000 + pair // BIRTH_DAYS * 4
    p.id_code[one], p.id_code[two] = base + 1, base + 3
    p.name[two] = p.name[one] // 10_000 * 10_000 + (p.name[one] + 1) % 10_000
    p.house[two], p.room[two] = p.house[one], p.room[one]
    p.name[m[2:]] = p.name[m[2]]  # strangers of one name


def _recycled_number(block: Block, m: Ints) -> None:
    p, s = block.people, block.settings
    before, after = m[:2]
    rest = s.recycle_after_days + int(block.rng.integers(5, 60))
    p.applied[before] = s.start + int(block.rng.integers(0, 30 * DAY))
    closed = int(p.applied[before]) + 20 * DAY
    opened = closed + rest * DAY
    p.applied[after] = min(opened + 60 * DAY, s.end - DAY)
    old, slot = int(p.phone[before]), int(p.iccid[before])
    p.phone[after], p.phone_opened[after] = old, opened
    p.phone_opened[before] = closed - 900 * DAY
    p.bad[before] = False
    block.add("phones", owner=before, phone=old, holder=p.id_code[before], iccid=slot, imei=p.imei[before],
              opened=p.phone_opened[before], closed=closed, at=opened)  # fmt: skip
    block.people.calls[before] = 0  # silent since; his calls of before are in the log read at application


def _honest_campaign(block: Block, m: Ints) -> None:
    p, s = block.people, block.settings
    day = int(block.rng.integers(s.start // DAY + 1, s.end // DAY))
    p.applied[m] = day * DAY + 10 * 3_600 + np.sort(block.rng.integers(0, 4 * 3_600, len(m)))
    p.channel[m] = ONLINE_CHANNELS - 1


# kind -> planter, smallest and largest group
LOOKALIKES: dict[str, tuple[Callable[[Block, Ints], None], int, int]] = {
    "family_device": (_family_device, 2, 4),
    "dormitory_wifi": (_dormitory_wifi, 20, 50),
    "phone_shop_device": (_phone_shop_device, 8, 20),
    "village_agent": (_village_agent, 12, 30),
    "courier_hotline": (_courier, 20, 60),
    "company_bulk_sims": (_company_bulk_sims, 10, 30),
    "big_honest_employer": (_big_honest_employer, 40, 100),
    "new_housing_estate": (_new_housing_estate, 30, 60),
    "twins_and_same_names": (_twins_and_same_names, 5, 5),
    "recycled_number": (_recycled_number, 2, 2),
    "honest_campaign": (_honest_campaign, 30, 70),
}


def plant_lookalikes(block: Block) -> None:
    """Plant at least one group of every kind, more in a large block; a block too small for a kind goes without."""
    rng, p = block.rng, block.people
    groups = max(1, round(block.size / block.settings.applicants_per_lookalike))
    index = 0
    for kind, (plant, low, high) in LOOKALIKES.items():
        for _ in range(groups * (5 if kind == "family_device" else 1)):
            members = block.take(int(rng.integers(low, high, endpoint=True)))
            if len(members) < low:
                continue
            plant(block, members)
            if kind in ("new_housing_estate", "honest_campaign", "recycled_number"):
                late = p.phone_opened[members] > p.applied[members] - DAY
                p.phone_opened[members[late]] = p.applied[members[late]] - 60 * DAY
            group = f"K{block.number:05d}-{index:03d}"
            block.truth.lookalikes.extend((group, kind, int(i)) for i in members)
            index += 1
