"""A lender's deliveries with one borrower for each way of falling silent, as landing files."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from pathlib import Path
from typing import Any

import polars as pl

DAY = dt.date(2026, 6, 30)
APPLIED = dt.datetime(2025, 10, 1, 3, tzinfo=dt.UTC)
SILENT = dt.datetime(2026, 2, 1, 3, tzinfo=dt.UTC)


def days(n: float, since: dt.datetime = SILENT) -> dt.datetime:
    return since + dt.timedelta(days=n)


class SilentWorld:
    """Rows by source. A borrower `name` has the number `old(name)`, the handset `imei(name)` and an overdue loan."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.names: list[str] = []

    def number(self, name: str) -> int:
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name) + 1

    def old(self, name: str) -> str:
        return f"139{self.number(name):08}"

    def new(self, name: str) -> str:
        return f"177{self.number(name):08}"

    def add(self, source: str, **row: Any) -> None:
        told = {k: v.isoformat() if isinstance(v, dt.datetime) else v for k, v in row.items()}
        self.rows[source].append(told)

    def applies(self, name: str, phone: str | None = None, at: dt.datetime = APPLIED, **more: Any) -> None:
        n = self.number(name)
        self.add(
            "applications", application_id=f"P-{name}", applicant_id=name, phone=phone or self.old(name),
            imei=imei(n), iccid=iccid(n), applied_at=at, **more,
        )  # fmt: skip

    def borrows(self, name: str, status: str = "overdue", **more: Any) -> None:
        self.applies(name, **more)
        self.add("loans", loan_id=f"L-{name}", application_id=f"P-{name}", applicant_id=name,
                 disbursed_at=days(1, APPLIED), principal_cny="3000.00", status=status)  # fmt: skip
        self.add("repayments", loan_id=f"L-{name}", due_at=SILENT, due_cny="1000.00")
        self.call(name, self.old(name), "13600000000", days(-20), 60)

    def attempts(self, name: str, *outcomes: str, phone: str | None = None, start: float = 10) -> None:
        for k, outcome in enumerate(outcomes):
            n = len(self.rows["contact_attempts"])
            self.add("contact_attempts", attempt_id=f"T{n}", loan_id=f"L-{name}", applicant_id=name,
                     phone=phone or self.old(name), attempted_at=days(start + 3 * k), outcome=outcome)  # fmt: skip

    def contact(self, name: str, phone: str, called: str, relation: str = "address_book", emergency: bool = False,
                at: dt.datetime = APPLIED) -> None:  # fmt: skip
        self.add("contacts", applicant_id=name, contact_phone=phone, contact_name=called, relation=relation,
                 emergency=emergency, captured_at=at)  # fmt: skip

    def call(self, name: str, phone: str, other: str, at: dt.datetime, seconds: int = 120) -> None:
        self.add("calls", phone=phone, other_phone=other, direction="out", started_at=at, duration_s=seconds)

    def talks(self, name: str, other: str, times: int = 8) -> None:
        for k in range(times):
            self.call(name, self.old(name), other, days(-3 - 2 * k))

    def write(self, landing: Path, day: dt.date = DAY) -> None:
        folder = landing / day.isoformat()
        folder.mkdir(parents=True, exist_ok=True)
        for source, rows in self.rows.items():
            pl.DataFrame(rows, infer_schema_length=None).write_csv(folder / f"{source}.csv")


def luhn(digits: str) -> str:
    """Append the check digit (ISO/IEC 7812)."""
    total = sum(sum(divmod(2 * int(d), 10)) if i % 2 == 0 else int(d) for i, d in enumerate(reversed(digits)))
    return digits + str(-total % 10)


def imei(n: int) -> str:
    return luhn(f"86{n:012}")


def iccid(n: int, card: int = 0) -> str:
    return luhn(f"8986{card}{n:013}")


FAILED = ("no_answer", "no_answer", "no_answer")


def silent_world() -> SilentWorld:
    w = SilentWorld()
    w.borrows("handset")
    w.attempts("handset", *FAILED)
    w.add("devices", device_id="app-handset", applicant_id="handset", imei=imei(w.number("handset")),
          iccid=iccid(w.number("handset"), 1), event_at=days(5))  # fmt: skip
    w.add("phones", phone=w.new("handset"), iccid=iccid(w.number("handset"), 1), observed_at=days(4))

    w.borrows("reapplied", id_number="11010119900307299X")
    w.attempts("reapplied", *FAILED)
    w.applies("again", phone=w.new("reapplied"), at=days(20), id_number="11010119900307299X")

    w.borrows("listed")
    w.attempts("listed", "invalid_number")
    w.applies("friend")
    w.contact("friend", w.old("listed"), "王小明")
    w.contact("friend", w.new("listed"), "王小明", at=days(15))
    w.contact("friend", "13511112222", "妈妈")  # a role is no name
    w.contact("friend", "13511113333", "妈妈", at=days(15))

    w.borrows("circle")
    w.attempts("circle", *FAILED)
    for k in range(4):
        w.applies(f"circle-friend-{k}")
        for n in range(3):
            w.call("", w.old(f"circle-friend-{k}"), w.old("circle"), days(-2 - n))
            w.call("", w.old(f"circle-friend-{k}"), w.new("circle"), days(3 + n))

    for name, relation in (("spouse", "spouse"), ("refusing", "spouse"), ("unproven", "parent"), ("alive", "parent"),
                           ("recycled", "parent"), ("dead", "spouse"), ("refused", "spouse"), ("found", "spouse"),
                           ("waiting", "spouse")):  # fmt: skip
        w.borrows(name, status="deceased" if name == "dead" else "overdue")
        w.contact(name, w.new(name), "老婆", relation, emergency=True)
        w.talks(name, w.new(name))
    w.attempts("spouse", *FAILED)
    w.attempts("refusing", *FAILED)
    w.attempts("refusing", "refused", phone=w.new("refusing"), start=30)
    w.attempts("unproven", "no_answer", "no_answer")
    w.attempts("alive", *FAILED)
    w.call("alive", w.old("alive"), "13600000000", days(60))
    w.attempts("recycled", "no_answer", "third_person", "third_person", start=100)
    w.add("phones", phone=w.old("recycled"), iccid=iccid(w.number("recycled"), 2), opened_at=days(95),
          observed_at=days(96))  # fmt: skip
    w.attempts("dead", *FAILED)
    w.attempts("refused", "refused", *FAILED)
    w.attempts("found", *FAILED, "right_person", start=120)
    # A newer number of the borrower's own has not been tried: the spouse waits.
    w.attempts("waiting", *FAILED)
    w.applies("waiting", phone="17600000001", at=days(30), channel="second")
    w.rows["applications"][-1]["application_id"] = "P-waiting-2"

    w.borrows("hotline")
    w.attempts("hotline", *FAILED)
    w.contact("hotline", "95588", "银行", "other", emergency=True)
    w.borrows("ringed")
    w.attempts("ringed", *FAILED)
    w.applies("accomplice")
    w.contact("ringed", w.old("accomplice"), "李四", "friend", emergency=True)
    w.talks("ringed", w.old("accomplice"))
    w.borrows("paid")
    w.attempts("paid", *FAILED)
    w.add("repayments", loan_id="L-paid", due_at=days(-30), due_cny="1000.00", paid_at=days(40), paid_cny="1000.00")
    return w
