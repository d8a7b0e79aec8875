"""A lake of few rows for feature tests, a random world, and every feature counted by hand: the Spark code's twin."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake
from pyspark.sql import SparkSession

from algorithms.features.catalogue import AGE_DAYS, BURST_HOURS, KINDS, PAIR_KINDS
from graph.lake import Lake

Row = dict[str, Any]
World = dict[str, list[Row]]
CAP = 3
NOON = datetime(2024, 6, 10, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
SPAN = timedelta(days=40)
_TEXT, _AT = pa.string(), pa.timestamp("us", "UTC")
_HANDSET = ("device_id", "imei", "iccid", "ip", "wifi_bssid")
_NAMED = (
    *("application_id", "applicant_id", "phone", *_HANDSET),
    *("address", "employer", "employer_phone", "bank_card", "channel"),
)
_COLUMNS: dict[str, dict[str, pa.DataType]] = {
    "applications": dict.fromkeys(_NAMED, _TEXT) | {"applied_at": _AT},
    "devices": dict.fromkeys(("applicant_id", *_HANDSET), _TEXT) | {"event_at": _AT},
    "contacts": {"applicant_id": _TEXT, "contact_phone": _TEXT, "emergency": pa.bool_(), "captured_at": _AT},
    "calls": {"phone": _TEXT, "other_phone": _TEXT, "direction": _TEXT, "started_at": _AT},
    "labels": {"applicant_id": _TEXT, "label": _TEXT, "confirmed_at": _AT},
    "loans": {"loan_id": _TEXT, "applicant_id": _TEXT, "disbursed_at": _AT},
    "repayments": {"loan_id": _TEXT, "due_at": _AT, "due_cny": pa.float64(), "paid_at": _AT, "paid_cny": pa.float64()},
    "phones": {"phone": _TEXT, "opened_at": _AT, "observed_at": _AT},
    "applicant_person": {"applicant_id": _TEXT, "person_id": _TEXT},
    "rings": {"ring_id": _TEXT, "as_of_date": pa.date32(), "score": pa.float64(), "size": pa.int64()},
    "ring_members": {"ring_id": _TEXT, "as_of_date": pa.date32(), "person_id": _TEXT, "score": pa.float64()},
}  # fmt: skip
_KNOWN = {"op": _TEXT, "delivered_on": pa.date32(), "ended_on": pa.date32()}


def write(root: Path, world: World) -> Lake:
    lake = Lake(root)
    for name, rows in world.items():
        result = name in ("rings", "ring_members")
        path = lake.results(name) if result else lake.graph(name) if name == "applicant_person" else lake.raw(name)
        shape = _COLUMNS[name] | ({} if result else _KNOWN)
        told = [{"op": "upsert", **row} for row in rows]
        parts = ["delivered_on"] if path.parent.name == "raw" else None
        write_deltalake(path, pa.Table.from_pylist(told, pa.schema(list(shape.items()))), partition_by=parts)
    return lake


def read(spark: SparkSession, lake: Lake) -> dict[str, Row]:
    rows = spark.read.format("delta").load(str(lake.features("application_graph"))).collect()
    return {row["application_id"]: row.asDict() for row in rows}


def random_world(seed: int) -> World:
    """Twelve customer numbers of nine persons over forty days and few nodes, delivered on three days or a day late."""
    rng = random.Random(seed)
    deliveries = [(NOON - 20 * DAY).date(), (NOON - 5 * DAY).date(), NOON.date(), (NOON + DAY).date()]
    phones = [f"tel{n}" for n in range(10)]

    def moment() -> datetime:
        return NOON - SPAN + rng.randrange(0, 40 * 24, 6) * HOUR

    def known(at: datetime) -> Row:
        due = [day for day in deliveries if day >= at.date()]
        on = due[0] if rng.random() < 0.7 else rng.choice(due)
        later = [day for day in deliveries if day > on]
        return {"delivered_on": on, "ended_on": rng.choice(later) if later and rng.random() < 0.15 else None}

    def node(kind: str, count: int) -> str | None:
        return f"{kind}{rng.randrange(count)}" if rng.random() < 0.8 else None

    def handset() -> Row:
        return {"device_id": node("dev", 6), "imei": node("imei", 7), "iccid": node("sim", 7), "ip": node("ip", 3),
                "wifi_bssid": node("wifi", 5)}  # fmt: skip

    def applicant() -> str:
        return f"a{rng.randrange(12)}"

    def dated(count: int, column: str, **values: Any) -> list[Row]:
        rows = []
        for _ in range(count):
            at = moment()
            rows.append({column: at, **known(at), **{name: make() for name, make in values.items()}})
        return rows

    applications = [
        row | handset() | {
            "application_id": f"ap{n}", "phone": node("tel", 8), "address": node("adr", 6), "employer": node("com", 3),
            "employer_phone": node("tel", 3), "bank_card": node("crd", 8), "channel": node("ch", 2),
        }
        for n, row in enumerate(dated(24, "applied_at", applicant_id=applicant))
    ]  # fmt: skip
    loans = [row | {"loan_id": f"l{n}"} for n, row in enumerate(dated(10, "disbursed_at", applicant_id=applicant))]
    repayments = [
        row | {"due_cny": 9.0, "paid_at": rng.choice([None, row["due_at"] + rng.randrange(-5, 9) * DAY]),
               "paid_cny": rng.choice([None, 4.0, 9.0])}
        for row in dated(25, "due_at", loan_id=lambda: f"l{rng.randrange(10)}")
    ]  # fmt: skip
    at_random = {"phone": lambda: rng.choice(phones), "direction": lambda: rng.choice(["out", "out", "in"])}
    labels = {(row["applicant_id"], row["confirmed_at"]): row for row in dated(
        14, "confirmed_at", applicant_id=applicant, label=lambda: rng.choice(["fraud", "normal"]))}  # fmt: skip
    dates = [(NOON - n * DAY).date() for n in (15, 3, 0)]
    members = [(f"r{r}", day, f"p{rng.randrange(9)}") for day in dates for r in range(2) for _ in range(3)]
    return {
        "applications": applications,
        "devices": [row | handset() for row in dated(20, "event_at", applicant_id=applicant)],
        "contacts": dated(60, "captured_at", applicant_id=applicant, contact_phone=lambda: rng.choice(phones),
                          emergency=lambda: rng.choice([True, False, None])),
        "calls": dated(70, "started_at", other_phone=lambda: rng.choice([*phones, "agent1", "agent2"]), **at_random),
        "labels": list(labels.values()), "loans": loans, "repayments": repayments,
        "phones": [row | {"opened_at": row["observed_at"] - rng.randrange(30) * DAY}
                   for row in dated(10, "observed_at", phone=at_random["phone"])],
        "applicant_person": [
            {"applicant_id": f"a{n}", "person_id": f"p{n % 9}", "delivered_on": deliveries[n % 3], "ended_on": None}
            for n in range(12)
        ],
        "rings": [{"ring_id": f"r{r}", "as_of_date": day, "score": rng.random(), "size": 3}
                  for day in dates for r in (0, 1)],
        "ring_members": [{"ring_id": r, "as_of_date": day, "person_id": p, "score": rng.random()}
                         for r, day, p in dict.fromkeys(members)],
    }  # fmt: skip


class ByHand:
    """One application's features by definition, over every row there is: the twin of the Spark code."""

    def __init__(self, world: World, application: Row, by_delivery: bool):
        self.world, self.own, self.by_delivery = world, application, by_delivery
        self.t: datetime = application["applied_at"]
        persons = {row["applicant_id"]: row["person_id"] for row in self.visible("applicant_person")}
        self.person_id = persons.get(application["applicant_id"])
        self.person_of = lambda applicant: persons.get(applicant, f"applicant|{applicant}")
        self.me = self.person_of(application["applicant_id"])
        self.uses: dict[tuple[str, str], dict[str, datetime]] = defaultdict(dict)
        for source, column in (("applications", "applied_at"), ("devices", "event_at")):
            for row in self.before(source, column):
                for kind in KINDS:
                    if kind.name != "listed_by" and source in kind.sources and row[kind.column]:
                        self.use(kind.name, row[kind.column], row["applicant_id"], row[column])
        for row in self.before("contacts", "captured_at"):
            self.use("listed_by", row["contact_phone"], row["applicant_id"], row["captured_at"])

    def use(self, kind: str, node: str, applicant: str, at: datetime) -> None:
        users, person = self.uses[kind, node], self.person_of(applicant)
        users[person] = min(at, users.get(person, at))

    def visible(self, source: str) -> list[Row]:
        day = self.t.date()
        if not self.by_delivery:
            return [row for row in self.world[source] if row["ended_on"] is None]
        delivered = [row for row in self.world[source] if row["delivered_on"] <= day]
        return [row for row in delivered if row["ended_on"] is None or row["ended_on"] > day]

    def before(self, source: str, column: str) -> list[Row]:
        return [row for row in self.visible(source) if row[column] < self.t]

    def others(self, kind: str, node: str | None) -> dict[str, datetime]:
        return {p: at for p, at in self.uses.get((kind, node or ""), {}).items() if p != self.me}

    def fraud(self, person: str) -> bool:
        newest: dict[str, tuple[datetime, str]] = {}
        for row in self.before("labels", "confirmed_at"):
            told = (row["confirmed_at"], row["label"])
            newest[row["applicant_id"]] = max(told, newest.get(row["applicant_id"], told))
        return any(label == "fraud" and self.person_of(a) == person for a, (_, label) in newest.items())

    def loan(self, person: str) -> bool:
        return any(self.person_of(row["applicant_id"]) == person for row in self.before("loans", "disbursed_at"))

    def overdue(self, person: str) -> bool:
        for loan in self.visible("loans"):
            for due in self.before("repayments", "due_at"):
                mine = due["loan_id"] == loan["loan_id"] and self.person_of(loan["applicant_id"]) == person
                whole = due["paid_cny"] is None or due["paid_cny"] >= due["due_cny"]
                paid = due["paid_at"] is not None and whole and due["paid_at"] < self.t
                if mine and due["due_at"] >= loan["disbursed_at"] and not paid:
                    return True
        return False

    def days(self, at: datetime) -> float:
        return (self.t - at) / DAY

    def features(self) -> Row:
        return {**self.shared(), **self.neighbors(), **self.calls(), **self.contacts(), **self.alone()}

    def shared(self) -> Row:
        found: Row = {}
        for kind in KINDS:
            node, name = self.own[kind.column], kind.name
            if node is None:
                continue
            met, users = self.others(name, node), self.uses.get((name, node), {})
            found[f"{name}_neighbor_count"] = len(met)
            for days in AGE_DAYS:
                late = sum(at >= self.t - days * DAY for at in met.values())
                found[f"{name}_neighbor_{days}d_count"] = late
                found[f"{name}_neighbor_{days}d_ratio"] = late / len(met) if met else None
            fraud, overdue = sum(map(self.fraud, met)), sum(map(self.overdue, met))
            found |= {f"{name}_fraud_count": fraud, f"{name}_fraud_ratio": fraud / len(met) if met else None}
            loans = sum(map(self.loan, met))
            found |= {f"{name}_overdue_count": overdue, f"{name}_overdue_ratio": overdue / loans if loans else None}
            found[f"{name}_first_seen_days"] = self.days(min(users.values())) if users else None
            for window, hours in BURST_HOURS.items() if kind.bursts else ():
                found[f"{name}_application_{window}_count"] = sum(
                    row[kind.column] == node and self.person_of(row["applicant_id"]) != self.me
                    and row["applied_at"] >= self.t - hours * HOUR
                    for row in self.before("applications", "applied_at")
                )  # fmt: skip
        return found

    def neighbors(self) -> Row:
        own = {(k.name, self.own[k.column]) for k in KINDS if k.paired and self.own[k.column]}
        if not own:
            return {}
        users = {node: people for node, people in self.uses.items() if node[0] in PAIR_KINDS and len(people) <= CAP}
        ways: dict[str, list[tuple[str, datetime]]] = defaultdict(list)
        for node in own:
            for person in users.get(node, {}):
                if person != self.me:
                    ways[person].append((node[0], users[node][person]))
        came = {person: min(at for _, at in way) for person, way in ways.items()}
        links, bad = {}, 0
        for person in ways:
            nodes = [n for n, people in users.items() if person in people and self.me not in people and n not in own]
            ends = [p for node in nodes for p in users[node] if p != person]
            links[person], bad = len(ends), bad + sum(map(self.fraud, ends))
        count, reached = len(ways), sum(links.values())
        fraud, overdue, loans = (sum(map(f, ways)) for f in (self.fraud, self.overdue, self.loan))
        return {
            "hub_count": sum(len(self.uses.get(node, {})) > CAP for node in own), "neighbor_count": count,
            "neighbor_30d_count": sum(at >= self.t - 30 * DAY for at in came.values()),
            "neighbor_latest_days": self.days(max(came.values())) if came else None,
            "neighbor_kind_max_count": max((len({k for k, _ in way}) for way in ways.values()), default=None),
            "neighbor_fraud_count": fraud, "neighbor_fraud_ratio": fraud / count if count else None,
            "neighbor_overdue_count": overdue, "neighbor_overdue_ratio": overdue / loans if loans else None,
            "neighbor_ring_count": len(ways.keys() & self.ring_members()) if self.ring_day() else None,
            "second_hop_count": reached if count else None,
            "second_hop_mean_count": reached / count if count else None,
            "second_hop_max_count": max(links.values(), default=None),
            "second_hop_fraud_ratio": bad / reached if reached else None,
        }  # fmt: skip

    def calls(self) -> Row:
        mine = [row for row in self.before("calls", "started_at") if row["phone"] == self.own["phone"]]
        if not mine:
            return {}
        late = [row for row in mine if row["started_at"] >= self.t - 30 * DAY]
        outs = [row["other_phone"] for row in late if row["direction"] == "out"]
        numbers = {row["other_phone"] for row in mine}
        agents: dict[str, set[str]] = defaultdict(set)
        for row in self.before("applications", "applied_at"):
            for call in self.visible("calls") if row["phone"] else ():
                ago = row["applied_at"] - call["started_at"]
                if call["phone"] == row["phone"] and call["direction"] == "out" and timedelta(0) < ago <= 30 * DAY:
                    agents[call["other_phone"]].add(self.person_of(row["applicant_id"]))
        behind = {number: len(agents[number] - {self.me}) for number in outs}
        return {
            "call_30d_count": len(late), "call_counterpart_count": len(numbers),
            "call_counterpart_30d_count": len({row["other_phone"] for row in late}),
            "call_out_ratio": sum(row["direction"] == "out" for row in mine) / len(mine),
            "call_applicant_ratio": sum(bool(self.others("phone", n)) for n in numbers) / len(numbers),
            "call_agent_30d_ratio": sum(behind[n] > 0 for n in outs) / len(outs) if outs else None,
            "call_agent_number_30d_count": sum(n > 0 for n in behind.values()) if outs else None,
            "call_agent_applicant_max_count": max(behind.values(), default=None),
        }  # fmt: skip

    def contacts(self) -> Row:
        rows = self.before("contacts", "captured_at")
        book = {row["contact_phone"] for row in rows if self.person_of(row["applicant_id"]) == self.me}
        if not book:
            return {}
        named: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            if row["emergency"]:
                named[row["contact_phone"]].add(self.person_of(row["applicant_id"]))
        emergency = {number for number in book if self.me in named[number]}
        owned = {number for number in book if self.others("phone", number)}
        mine = [row["other_phone"] for row in self.before("calls", "started_at") if row["phone"] == self.own["phone"]]
        return {
            "contact_count": len(book), "contact_applicant_count": len(owned),
            "contact_applicant_ratio": len(owned) / len(book),
            "contact_shared_ratio": sum(bool(self.others("listed_by", n)) for n in book) / len(book),
            "contact_called_ratio": len(book.intersection(mine)) / len(book) if mine else None,
            "emergency_contact_count": len(emergency), "emergency_applicant_count": len(emergency & owned),
            "emergency_shared_count": sum(bool(named[number] - {self.me}) for number in emergency),
        }  # fmt: skip

    def ring_day(self) -> date | None:
        days = {row["as_of_date"] for row in self.world["rings"] if row["as_of_date"] < self.t.date()}
        return max(days, default=None)

    def ring_members(self) -> dict[str, Row]:
        day = self.ring_day()
        rows = [row for row in self.world["ring_members"] if row["as_of_date"] == day]
        return {row["person_id"]: row for row in sorted(rows, key=lambda row: row["score"])}

    def alone(self) -> Row:
        found: Row = {}
        reports = [r for r in self.before("phones", "observed_at") if r["phone"] == self.own["phone"]]
        if reports := [row for row in reports if row["opened_at"] < self.t]:
            newest = max((row["observed_at"], row["opened_at"]) for row in reports)
            found["phone_age_days"] = self.days(newest[1])
        if self.ring_day() and self.person_id:
            member = self.ring_members().get(self.person_id)
            found["ring_member"] = member is not None
            if member:
                key = (member["ring_id"], self.ring_day())
                (ring,) = [row for row in self.world["rings"] if (row["ring_id"], row["as_of_date"]) == key]
                found |= {"ring_member_score": member["score"], "ring_score": ring["score"]}
                found["ring_size_count"] = ring["size"]
        return found
