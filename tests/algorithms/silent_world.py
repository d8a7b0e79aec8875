"""A lake with one borrower for each way of falling silent, written as a night's graph stage would leave it."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake

from graph.lake import Lake
from graph.schema import EDGE_BY_TABLE

DAY = dt.date(2026, 6, 30)
APPLIED = dt.datetime(2025, 10, 1, 3, tzinfo=dt.UTC)
SILENT = dt.datetime(2026, 2, 1, 3, tzinfo=dt.UTC)
_ARROW = {"string": pa.string(), "long": pa.int64(), "double": pa.float64(), "boolean": pa.bool_(),
          "timestamp": pa.timestamp("us", "UTC")}  # fmt: skip
_RAW = {
    "applications": "application_id applicant_id id_number name birth_date phone bank_card iccid applied_at",
    "phones": "phone holder_id_number iccid imei opened_at closed_at observed_at",
    "devices": "applicant_id iccid event_at",
    "contact_attempts": "attempt_id loan_id applicant_id phone attempted_at outcome",
    "calls": "phone started_at duration_s",
    "loans": "loan_id applicant_id status disbursed_at",
    "repayments": "loan_id due_at due_cny paid_at paid_cny",
    "labels": "applicant_id label confirmed_at",
}
_KNOWN = [("delivered_on", pa.date32()), ("ended_on", pa.date32())]


def days(n: float, since: dt.datetime = SILENT) -> dt.datetime:
    return since + dt.timedelta(days=n)


def _type(column: str) -> pa.DataType:
    if column.endswith("_at"):
        return _ARROW["timestamp"]
    return pa.int64() if column == "duration_s" else pa.float64() if column.endswith("_cny") else pa.string()


class SilentWorld:
    """Rows by table. A borrower `name` has the number `old(name)`, a handset, a card and an overdue loan."""

    def __init__(self, delivered_on: dt.date = DAY) -> None:
        self.delivered_on = delivered_on
        self.raw: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.events: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.people: set[str] = set()

    @staticmethod
    def old(name: str) -> str:
        return f"tel_old_{name}"

    @staticmethod
    def new(name: str) -> str:
        return f"tel_new_{name}"

    def row(self, source: str, **row: Any) -> None:
        self.raw[source].append(row)

    def edge(self, table: str, src: str, dst: str, at: dt.datetime, **values: Any) -> None:
        self.events[table].append({"src": src, "dst": dst, "at": at, **values})

    def applies(self, name: str, phone: str | None = None, at: dt.datetime = APPLIED, **more: Any) -> None:
        phone, application = phone or self.old(name), f"P-{name}-{at:%m%d}"
        self.people.add(name)
        self.row("applications", application_id=application, applicant_id=name, phone=phone, iccid=f"sim_{name}",
                 applied_at=at, **more)  # fmt: skip
        self.edge("person_submitted", name, application, at)
        self.edge("uses_phone", name, phone, at)
        self.edge("uses_device", name, f"dev_{name}", at)
        self.edge("device_holds_sim", f"dev_{name}", f"sim_{name}", at)

    def borrows(self, name: str, status: str = "overdue", **more: Any) -> None:
        self.applies(name, **more)
        self.row("loans", loan_id=f"L-{name}", applicant_id=name, status=status, disbursed_at=days(1, APPLIED))
        self.row("repayments", loan_id=f"L-{name}", due_at=SILENT, due_cny=1000.0)
        self.call(self.old(name), "tel_grocer", days(-20))

    def attempts(self, name: str, *outcomes: str, phone: str | None = None, start: float = 10) -> None:
        for k, outcome in enumerate(outcomes):
            self.row("contact_attempts", attempt_id=f"T-{name}-{start}-{k}", loan_id=f"L-{name}", applicant_id=name,
                     phone=phone or self.old(name), attempted_at=days(start + 3 * k), outcome=outcome)  # fmt: skip

    def contact(self, name: str, phone: str, called: str, relation: str = "address_book", emergency: bool = False,
                at: dt.datetime = APPLIED) -> None:  # fmt: skip
        self.edge("lists_contact", name, phone, at, relation=relation, emergency=emergency, contact_name=called)

    def call(self, phone: str, other: str, at: dt.datetime, seconds: int = 120) -> None:
        """A call in the log of `phone`, which made it."""
        self.row("calls", phone=phone, started_at=at, duration_s=seconds)
        self.edge("called", phone, other, at, duration_s=seconds, missed_count=int(seconds == 0))

    def talks(self, name: str, other: str, times: int = 8) -> None:
        for k in range(times):
            self.call(self.old(name), other, days(-3 - 2 * k))

    def card(self, phone: str, iccid: str, at: dt.datetime, **report: Any) -> None:
        """A carrier's report of the card behind a number."""
        self.row("phones", phone=phone, iccid=iccid, observed_at=at, **report)
        self.edge("phone_holds_sim", phone, iccid, at)

    def write(self, lake: Lake) -> None:
        """Append all rows, as delivered on the world's day."""
        known = {"delivered_on": self.delivered_on, "ended_on": None}
        for source, names in _RAW.items():
            columns = [(name, _type(name)) for name in names.split()]
            rows = [{"op": "upsert", **row, **known} for row in self.raw[source]]
            schema = pa.schema([("op", pa.string()), *columns, *_KNOWN])
            write_deltalake(lake.raw(source), pa.Table.from_pylist(rows, schema), mode="append")
        for table, rows in self.events.items():
            columns = [("src", pa.string()), ("dst", pa.string()), ("at", _ARROW["timestamp"]), *_KNOWN]
            schema = pa.schema([*columns, *((v.name, _ARROW[v.type]) for v in EDGE_BY_TABLE[table].values)])
            told = pa.Table.from_pylist([row | known for row in rows], schema)
            write_deltalake(lake.graph(f"{table}_events"), told, mode="append")
        persons = [{"applicant_id": n, "person_id": f"per_{n}", "at": None, **known} for n in sorted(self.people)]
        columns = [("applicant_id", pa.string()), ("person_id", pa.string()), ("at", _ARROW["timestamp"]), *_KNOWN]
        write_deltalake(
            lake.graph("applicant_person"), pa.Table.from_pylist(persons, pa.schema(columns)), mode="append"
        )
        kinds = pa.schema([("id", pa.string()), ("exists", pa.bool_()), ("at", _ARROW["timestamp"]), *_KNOWN,
                           ("kind", pa.string()), ("carrier", pa.string())])  # fmt: skip
        service = {"id": "tel_95588", "exists": False, "at": APPLIED, "kind": "service", **known}
        write_deltalake(lake.graph("phone_events"), pa.Table.from_pylist([service], kinds), mode="append")


FAILED = ("no_answer", "no_answer", "no_answer")


def silent_world() -> SilentWorld:
    w = SilentWorld()
    w.borrows("handset")
    w.attempts("handset", *FAILED)
    w.row("devices", applicant_id="handset", iccid="sim_second", event_at=days(5))
    w.edge("device_holds_sim", "dev_handset", "sim_second", days(5))
    w.card(w.new("handset"), "sim_second", days(4))

    w.borrows("reapplied", id_number="idn_1")
    w.attempts("reapplied", *FAILED)
    w.applies("again", phone=w.new("reapplied"), at=days(20), id_number="idn_1")

    w.borrows("listed")
    w.attempts("listed", "invalid_number")
    w.applies("friend")
    w.contact("friend", w.old("listed"), "nam_wang")
    w.contact("friend", w.new("listed"), "nam_wang", at=days(15))
    w.contact("friend", "tel_one_mother", "rol_mother")  # a role is no name
    w.contact("friend", "tel_other_mother", "rol_mother", at=days(15))

    w.borrows("circle")
    w.attempts("circle", *FAILED)
    for k in range(4):
        w.applies(f"circle-friend-{k}")
        for n in range(3):
            w.call(w.old(f"circle-friend-{k}"), w.old("circle"), days(-2 - n))
            w.call(w.old(f"circle-friend-{k}"), w.new("circle"), days(3 + n))

    for name, relation in (("spouse", "spouse"), ("refusing", "spouse"), ("unproven", "parent"), ("alive", "parent"),
                           ("recycled", "parent"), ("dead", "spouse"), ("refused", "spouse"), ("found", "spouse"),
                           ("waiting", "spouse")):  # fmt: skip
        w.borrows(name, status="deceased" if name == "dead" else "overdue")
        w.contact(name, w.new(name), "rol_spouse", relation, emergency=True)
        w.talks(name, w.new(name))
    w.attempts("spouse", *FAILED)
    w.attempts("refusing", *FAILED)
    w.attempts("refusing", "refused", phone=w.new("refusing"), start=30)
    w.attempts("unproven", "no_answer", "no_answer")
    w.attempts("alive", *FAILED)
    w.call(w.old("alive"), "tel_grocer", days(60))
    w.attempts("recycled", "no_answer", "third_person", "third_person", start=100)
    w.card(w.old("recycled"), "sim_stranger", days(96), opened_at=days(95))
    w.attempts("dead", *FAILED)
    w.attempts("refused", "refused", *FAILED)
    w.attempts("found", *FAILED)
    w.attempts("found", "right_person", start=120)
    # A newer number of the borrower's own has not been tried: the spouse waits.
    w.attempts("waiting", *FAILED)
    w.applies("waiting", phone="tel_newer", at=days(30))

    w.borrows("hotline")
    w.attempts("hotline", *FAILED)
    w.contact("hotline", "tel_95588", "nam_bank", "other", emergency=True)
    w.borrows("ringed")
    w.attempts("ringed", *FAILED)
    w.applies("accomplice")
    w.contact("ringed", w.old("accomplice"), "nam_li", "friend", emergency=True)
    w.talks("ringed", w.old("accomplice"))
    w.borrows("paid")
    w.attempts("paid", *FAILED)
    w.row("repayments", loan_id="L-paid", due_at=days(-30), due_cny=1000.0, paid_at=days(40), paid_cny=1000.0)

    # Two failures, and a report long after that its carrier closed the number at the beginning: proof enough.
    w.borrows("closed")
    w.attempts("closed", "no_answer")
    w.edge("uses_phone", "closed", w.old("closed"), days(60), held_from=days(-900), held_to=days(3))
    w.row("phones", phone=w.old("closed"), closed_at=days(3), observed_at=days(60))
    w.edge("device_holds_sim", "dev_closed", "sim_closed_2", days(5))
    w.card(w.new("closed"), "sim_closed_2", days(4))
    # Reached on a number that no form holds; then the stated one failed.
    w.borrows("answered")
    w.attempts("answered", "right_person", phone="tel_answered")
    w.attempts("answered", *FAILED, start=40)
    w.contact("answered", w.new("answered"), "rol_spouse", "spouse", emergency=True)
    w.talks("answered", w.new("answered"))
    # A wife puts her own card into her husband's old handset.
    w.borrows("husband")
    w.attempts("husband", *FAILED)
    w.applies("wife")
    w.talks("husband", w.old("wife"), times=2)
    w.edge("device_holds_sim", "dev_husband", "sim_wife", days(5))
    w.card(w.old("wife"), "sim_wife", days(5))
    # A friend notes a number under the borrower's name that the borrower has long listed: a flat mate's.
    w.borrows("flat")
    w.attempts("flat", *FAILED)
    w.applies("flat-friend")
    w.contact("flat-friend", w.old("flat"), "nam_sun")
    w.contact("flat-friend", w.new("flat"), "nam_sun", at=days(15))
    w.contact("flat", w.new("flat"), "nam_zhou")
    # Two numbers of one borrower, who calls from one to the other.
    w.borrows("two")
    w.applies("two", phone="tel_two")
    w.talks("two", "tel_two")
    w.attempts("two", *FAILED)
    w.attempts("two", *FAILED, phone="tel_two", start=11)
    # One landlord of two borrowers refused about the first.
    for name in ("tenant", "neighbor"):
        w.borrows(name)
        w.attempts(name, *FAILED)
        w.contact(name, "tel_landlord", "nam_chen", "other", emergency=True)
        w.talks(name, "tel_landlord")
    w.attempts("tenant", "refused", phone="tel_landlord", start=40)
    # No number of this borrower is known, but a friend's, on which the borrower answered.
    w.borrows("unlisted")
    w.raw["applications"][-1]["phone"] = None
    w.events["uses_phone"].pop()
    w.contact("unlisted", "tel_roommate", "nam_zhao", "friend", emergency=True)
    w.attempts("unlisted", "right_person", phone="tel_roommate", start=140)
    # Due the day before the night, and nobody called yet.
    w.borrows("fresh")
    w.raw["repayments"][-1]["due_at"] = dt.datetime(2026, 6, 29, 3, tzinfo=dt.UTC)
    w.contact("fresh", w.new("fresh"), "rol_mother", "parent", emergency=True)
    w.talks("fresh", w.new("fresh"))

    # Whoever the stranger on a recycled number talks with knows nothing of the borrower.
    for n in range(3):
        w.call("tel_strangers_friend", w.old("recycled"), days(110 + n))
    return w
