"""The block's arrays written out as the landing files' columns: strings, spelled as lenders spell them.

Every frame has the contract's columns of its source and `available`, the local second at which the lender knew the row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from ingest.synthetic.books import call_rows, contact_rows, full_name
from ingest.synthetic.credit import (
    OUTCOMES,
    Loans,
    application_rows,
    attempt_rows,
    change_numbers,
    fund,
    label_rows,
    loan_versions,
    repayment_versions,
)
from ingest.synthetic.lost_contacts import plant_lost_contacts, ready_borrowers
from ingest.synthetic.numbering import birth_day, is_male
from ingest.synthetic.population import ONLINE_CHANNELS, Block
from ingest.synthetic.settings import DAY
from ingest.synthetic.texts import (
    applicant_ids,
    blank,
    bssids,
    choice,
    device_ids,
    digits,
    iccid_texts,
    id_numbers,
    imei_texts,
    ips,
    moments,
    money,
    named,
    phone_texts,
    with_luhn,
)
from ingest.synthetic.vocabulary import CARRIERS, CITY_CENTERS, HANDSETS, ONLINE, PRODUCTS, employer_name, house_name

Frames = dict[str, pl.DataFrame]
_OPTIONAL = (
    "gender",
    "birth_date",
    "imei",
    "iccid",
    "wifi_bssid",
    "address",
    "employer",
    "employer_phone",
    "bank_card",
)


def _application_frame(block: Block, rows: dict[str, Any]) -> pl.DataFrame:
    p, s, rng = block.people, block.settings, block.rng
    owner, at = rows["owner"], rows["at"]
    employer = block.numbers.employer(p.employer[owner])
    phone = np.where(at >= p.changed[owner], block.numbers.mobile(block.persons(owner), 1), p.phone[owner])
    born = pl.Series(birth_day(p.id_code[owner]).astype("datetime64[D]")).cast(pl.String)
    house = named(block.numbers.house(p.house[owner]), house_name)
    place = p.channel[owner]
    sales = "sales-" + digits(block.number * 100 + place, 7)
    online = choice(ONLINE, np.minimum(place, ONLINE_CHANNELS - 1))
    frame = {
        "application_id": "P" + digits(block.persons(owner), 9) + "-" + digits(rows["turn"] + 1),
        "applicant_id": applicant_ids(block, owner),
        "id_number": id_numbers(p.id_code[owner]),
        "name": full_name(p.name[owner]),
        "gender": choice(["F", "M"], is_male(p.id_code[owner]).astype(np.int64)),
        "birth_date": born,
        "phone": phone_texts(block, phone),
        "device_id": device_ids(block, p.device[owner]),
        "imei": imei_texts(p.imei[owner]),
        "iccid": iccid_texts(p.iccid[owner]),
        "ip": ips(block, p.ip[owner]),
        "wifi_bssid": bssids(block, p.wifi[owner]),
        "address": house + digits(p.room[owner] // 100) + "层" + digits(p.room[owner]) + "室",
        "employer": named(employer, employer_name),
        "employer_phone": phone_texts(block, block.numbers.landline(p.employer[owner])),
        "bank_card": with_luhn(block.numbers.card(block.persons(p.human[owner])), 18),
        "channel": online.zip_with(pl.Series(place < ONLINE_CHANNELS), sales),
        "product": choice(PRODUCTS, owner % 7 % 4),
        "amount_cny": digits(rows["amount"]) + ".00",
        "applied_at": moments(at),
        "available": pl.Series(at),
    }  # fmt: skip
    for name in _OPTIONAL:
        frame[name] = blank(frame[name], p.blanks[owner] & (rng.random(len(owner)) < s.blank_field_share))
    return pl.DataFrame(frame)


def _phone_frame(block: Block) -> pl.DataFrame:
    p = block.people
    own = np.arange(block.size, dtype=np.int64)
    base = {
        "phone": p.phone, "holder": np.where(p.holder_known, p.id_code, -1), "iccid": p.iccid, "imei": p.imei,
        "opened": p.phone_opened, "closed": np.full(len(own), -1), "at": p.applied,
    }  # fmt: skip
    extra = block.extra("phones", dict.fromkeys(base, 0))
    rows = {name: np.concatenate([values, extra[name]]) for name, values in base.items()}
    carrier = (rows["phone"] // 10**8 * 7) % 10 % 4
    return pl.DataFrame(
        {
            "phone": phone_texts(block, rows["phone"]),
            "holder_id_number": id_numbers(rows["holder"]),
            "iccid": iccid_texts(rows["iccid"]),
            "imei": imei_texts(rows["imei"]),
            "carrier": choice(CARRIERS, carrier),
            "opened_at": moments(rows["opened"]),
            "closed_at": moments(rows["closed"]),
            "observed_at": moments(rows["at"]),
            "available": rows["at"],
        }
    )


def _device_frame(block: Block) -> pl.DataFrame:
    p, s, rng = block.people, block.settings, block.rng
    events = 1 + rng.poisson(3.0, block.size)
    owner = np.repeat(np.arange(block.size, dtype=np.int64), events)
    first = np.arange(len(owner), dtype=np.int64) == np.repeat(np.cumsum(events) - events, events)
    at = p.applied[owner] + np.where(first, 0, (rng.exponential(40 * DAY, len(owner))).astype(np.int64))
    toss = (block.numbers.opaque(block.persons(owner), 6) % np.uint64(1_000)).astype(np.int64)
    two = toss < s.second_device_share * 1_000
    second = two & ~first & (rng.random(len(owner)) < 0.4) & ~p.reserved[owner]
    persons = block.persons(owner)
    base = {
        "owner": owner,
        "device": np.where(second, persons * 4 + 1, p.device[owner]),
        "imei": np.where(second, block.numbers.imei(persons, 1), p.imei[owner]),
        "iccid": np.where(at >= p.changed[owner], block.numbers.iccid(persons, 1), p.iccid[owner]),
        "handset": np.where(second, (p.handset[owner] + 5) % 12, p.handset[owner]),
        "at": at,
        "known_from": p.applied[owner],
    }
    heard = at < p.silent[owner]
    extra = block.extra("devices", dict.fromkeys(base, 0))
    rows = {name: np.concatenate([values[heard], extra[name]]) for name, values in base.items()}
    owner, count = rows["owner"], len(rows["owner"])
    home = rng.random(count) < 0.6
    # Away from home a carrier's shared gateway is seen: one address for very many people.
    gateways = 200 + s.applicants // 5_000
    ip = np.where(home, p.ip[owner], -1 - rng.integers(0, gateways, count))
    center = CITY_CENTERS[p.house[owner] % len(CITY_CENTERS)]
    where = np.round(center + rng.normal(0, 0.15, (count, 2)), 5)
    located = rng.random(count) < 0.5
    return pl.DataFrame(
        {
            "device_id": device_ids(block, rows["device"]),
            "applicant_id": applicant_ids(block, owner),
            "imei": imei_texts(rows["imei"]),
            "iccid": iccid_texts(rows["iccid"]),
            "os": choice([h[0] for h in HANDSETS], rows["handset"]),
            "model": choice([h[1] for h in HANDSETS], rows["handset"]),
            "ip": ips(block, ip),
            "wifi_bssid": blank(bssids(block, p.wifi[owner]), ~home),
            "lat": blank(pl.Series(where[:, 0]).cast(pl.String), ~located),
            "lon": blank(pl.Series(where[:, 1]).cast(pl.String), ~located),
            "event_at": moments(rows["at"]),
            "available": np.maximum(rows["at"], rows["known_from"]),
        }
    )


def _contact_frame(block: Block) -> pl.DataFrame:
    rows = contact_rows(block)
    return pl.DataFrame(
        {
            "applicant_id": applicant_ids(block, np.arange(block.size)).gather(rows["owner"]),
            "contact_phone": phone_texts(block, rows["phone"]),
            "contact_name": rows["name"],
            "relation": rows["relation"],
            "emergency": choice(["false", "true"], rows["emergency"].astype(np.int64)),
            "captured_at": moments(rows["at"]),
            "available": rows["at"],
        }
    )


def _call_frame(block: Block) -> pl.DataFrame:
    rows = call_rows(block)
    return pl.DataFrame(
        {
            "phone": phone_texts(block, rows["phone"]),
            "other_phone": phone_texts(block, rows["other"]),
            "direction": choice(["in", "out"], rows["out"].astype(np.int64)),
            "started_at": moments(rows["at"]),
            "duration_s": digits(rows["seconds"]),
            "available": np.maximum(rows["at"], rows["known_from"]),
        }
    )


def _loan_frames(block: Block, loans: Loans, lost: dict[int, str]) -> Frames:
    owner = loans.owner
    loan_id = "L" + digits(block.persons(owner), 9) + "-" + digits(loans.turn + 1)
    application = "P" + digits(block.persons(owner), 9) + "-" + digits(loans.turn + 1)
    states, paid = loan_versions(block, loans), repayment_versions(block, loans)
    attempts = attempt_rows(block, loans, lost)
    each = states["loan"]
    count = len(attempts["loan"])
    return {
        "loans": pl.DataFrame(
            {
                "loan_id": loan_id.gather(each),
                "application_id": application.gather(each),
                "applicant_id": applicant_ids(block, owner[each]),
                "disbursed_at": moments(loans.disbursed[each]),
                "principal_cny": digits(loans.principal[each]) + ".00",
                "term_months": digits(loans.term[each]),
                "status": pl.Series(states["status"].tolist(), dtype=pl.String),
                "available": states["available"],
            }
        ),
        "repayments": pl.DataFrame(
            {
                "loan_id": loan_id.gather(paid["loan"]),
                "due_at": moments(paid["due"]),
                "due_cny": money(paid["amount"]),
                "paid_at": moments(paid["paid"]),
                "paid_cny": blank(money(paid["amount"]), paid["paid"] < 0),
                "available": paid["available"],
            }
        ),
        "contact_attempts": pl.DataFrame(
            {
                "attempt_id": f"T{block.number:05d}-" + digits(np.arange(count), 6),
                "loan_id": loan_id.gather(attempts["loan"]),
                "applicant_id": applicant_ids(block, owner[attempts["loan"]]),
                "phone": phone_texts(block, attempts["phone"]),
                "attempted_at": moments(attempts["at"]),
                "channel": choice(["call", "sms"], (block.rng.random(count) < 0.1).astype(np.int64)),
                "outcome": choice(OUTCOMES.tolist(), attempts["outcome"]),
                "collector": "collector-" + digits(block.rng.integers(1, 30, count), 2),
                "available": attempts["at"],
            }
        ),
    }


def _relation_frame(block: Block) -> pl.DataFrame:
    p, rng = block.people, block.rng
    twice = np.flatnonzero(p.human != np.arange(block.size))
    twice = twice[rng.random(len(twice)) < 0.6]  # a face match of another system finds most second customer numbers
    wrong = rng.integers(0, block.size, (2, block.size // 1_000))  # and now and then two strangers, with a low score
    wrong = wrong[:, wrong[0] != wrong[1]]
    for src, dst, low in ((twice, p.human[twice], 0.88), (wrong[0], wrong[1], 0.55)):
        if len(src):
            at = np.maximum(p.applied[src], p.applied[dst]) + 3_600
            score = np.round(low + rng.random(len(src)) * 0.12, 3)
            block.add("relations", kind="SAME_PERSON", src=src, dst=dst, at=at, amount=-1, score=score)
    honest = block.bystanders(block.size // 100)
    half = len(honest) // 2
    if half:
        src, dst = honest[:half], honest[half : 2 * half]
        at = np.maximum(p.applied[src], p.applied[dst]) + DAY
        block.add("relations", kind="GUARANTEES", src=src, dst=dst, at=at, amount=p.amount[dst], score=-1.0)
    rows = block.extra("relations", {"kind": "", "src": 0, "dst": 0, "at": 0, "amount": -1, "score": -1.0})
    kind = pl.Series("k", rows["kind"].tolist(), dtype=pl.String)
    person_from, person_to = applicant_ids(block, rows["src"]), applicant_ids(block, rows["dst"])
    account_from, account_to = "account-" + person_from, "account-" + person_to
    transfer, owns = rows["kind"] == "TRANSFERRED", rows["kind"] == "OWNS_ACCOUNT"
    pick = pl.DataFrame(
        {"pf": person_from, "pt": person_to, "af": account_from, "at": account_to, "t": transfer, "e": transfer | owns}
    )
    return pl.DataFrame(
        {
            "from_kind": choice(["Person", "Account"], transfer.astype(np.int64)),
            "from_id": pick.select(pl.when("t").then("af").otherwise("pf"))["af"],
            "relation": kind,
            "to_kind": choice(["Person", "Account"], (transfer | owns).astype(np.int64)),
            "to_id": pick.select(pl.when("e").then("at").otherwise("pt"))["at"],
            "at": moments(rows["at"]),
            "amount_cny": blank(digits(rows["amount"]) + ".00", rows["amount"] < 0),
            "score": blank(pl.Series(rows["score"]).cast(pl.String), rows["score"] < 0),
            "available": rows["at"],
        }
    )


def _label_frame(block: Block) -> pl.DataFrame:
    rows = label_rows(block)
    return pl.DataFrame(
        {
            "applicant_id": applicant_ids(block, rows["owner"]),
            "label": choice(["normal", "fraud"], rows["fraud"].astype(np.int64)),
            "confirmed_at": moments(rows["at"]),
            "reviewer": "reviewer-" + digits(block.rng.integers(1, 12, len(rows["owner"])), 2),
            "available": rows["at"],
        }
    )


def landing_frames(block: Block) -> Frames:
    """All rows of the block by source, after its rings and look-alikes were planted; plants the lost contacts."""
    ready_borrowers(block)
    change_numbers(block)
    applications = application_rows(block)
    loans = fund(block, applications)
    lost = plant_lost_contacts(block, loans)
    applications["at"][: block.size] = block.people.applied  # some came back under a new number
    frames = {"applications": _application_frame(block, applications), **_loan_frames(block, loans, lost)}
    frames["relations"], frames["labels"] = _relation_frame(block), _label_frame(block)
    frames["phones"], frames["devices"] = _phone_frame(block), _device_frame(block)
    frames["contacts"], frames["calls"] = _contact_frame(block), _call_frame(block)
    return frames
