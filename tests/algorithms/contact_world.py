"""A lake of a few lost borrowers, as the night would leave it, and a queue over it, for the tests of the work queue."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake
from sqlalchemy import select

from algorithms.contact.loading import Loaded, load
from algorithms.contact.night import read_night
from algorithms.contact.policy import read_policy
from algorithms.contact.queue import Queue
from algorithms.contact.standing import Terms
from algorithms.contact.store import META, Store
from graph.audit import AuditLog
from graph.lake import Lake
from graph.tokens import Keys, Kind
from graph.vault import Vault, seal

NIGHT = date(2026, 6, 30)
NOON = datetime(2026, 7, 1, 4, 0, tzinfo=UTC)  # 12:00 in Shanghai, the day after the night
LOST = NOON - timedelta(days=20)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TABLES = META.metadata.sorted_tables
_STRINGS = pa.list_(pa.string())
_AT = pa.timestamp("us", "UTC")
_LEADS = pa.schema([
    ("loan_id", pa.string()), ("applicant_id", pa.string()), ("person_id", pa.string()), ("as_of_date", pa.date32()),
    ("rank", pa.int32()), ("phone", pa.string()), ("route", pa.string()), ("via", _STRINGS),
    ("probability", pa.float64()), ("allowed", pa.bool_()), ("rule", pa.string()), ("next_allowed_at", _AT),
    ("evidence", pa.string()), ("holdout", pa.bool_()), ("call_to", pa.string()), ("related", pa.bool_()),
    ("sources", _STRINGS),
])  # fmt: skip
_STATES = pa.schema([
    ("loan_id", pa.string()), ("applicant_id", pa.string()), ("person_id", pa.string()), ("as_of_date", pa.date32()),
    ("state", pa.string()), ("lost_since", _AT), ("numbers", _STRINGS), ("proof", pa.string()),
    ("overdue_cny", pa.float64()),
])  # fmt: skip
_ATTEMPTS = pa.schema([
    *((name, pa.string()) for name in ("attempt_id", "loan_id", "applicant_id", "phone")), ("attempted_at", _AT),
    *((name, pa.string()) for name in ("channel", "outcome", "collector", "op")),
    ("delivered_on", pa.date32()), ("ended_on", pa.date32()),
])  # fmt: skip
_NAMES = pa.schema([
    ("applicant_id", pa.string()), ("name", pa.string()), ("applied_at", _AT), ("delivered_on", pa.date32()),
    ("ended_on", pa.date32()),
])  # fmt: skip
_PEOPLE = pa.schema([("applicant_id", pa.string()), ("person_id", pa.string()), ("ended_on", pa.date32())])


@dataclass
class World:
    """Rows to be; `written` puts them into the lake. Debtor `wei` has the loan `L-wei` and the number `wei's own`."""

    folder: Path
    leads: list[dict[str, Any]] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    attempts: list[dict[str, Any]] = field(default_factory=list)
    people: list[dict[str, Any]] = field(default_factory=list)
    night: date = NIGHT

    def __post_init__(self) -> None:
        self.keys = Keys.create(self.folder / "keys.json")
        self.lake = Lake(self.folder / "lake")
        self.audit = AuditLog(f"sqlite:///{self.folder / 'audit.db'}")
        self.vault = Vault(self.lake.vault, self.keys, self.audit)
        self.plain: dict[str, str] = {}

    def tel(self, whose: str) -> str:
        """The token of somebody's number."""
        plain = f"+8613{sum(map(ord, whose)) * 7919 % 10**9:09d}"
        token = self.keys.token(Kind.PHONE, plain)
        self.plain[token] = plain
        return token

    def lost(self, who: str, *loans: str, state: str = "lost") -> None:
        """A borrower nobody reaches any more."""
        for loan in loans or (f"L-{who}",):
            self.states.append({
                "loan_id": loan, "applicant_id": who, "person_id": f"per_{who}", "as_of_date": self.night,
                "state": state, "lost_since": LOST if state == "lost" else None, "numbers": [self.tel(f"{who}'s own")],
                "proof": "[]", "overdue_cny": 12345.67,
            })  # fmt: skip

    def same_human(self, person: str, *applicants: str) -> None:
        """Several customer numbers are one human, as the night found out; their rows so far are told so."""
        for who in applicants:
            self.people.append({"applicant_id": who, "person_id": person})
        for row in (*self.states, *self.leads):
            if row["applicant_id"] in applicants:
                row["person_id"] = person

    def name(self, who: str, plain: str) -> None:
        """What an application says the applicant is called."""
        token = self.keys.token(Kind.NAME, plain)
        self.plain[token] = plain
        at = NOON - 400 * DAY
        row = {"applicant_id": who, "name": token, "applied_at": at, "delivered_on": at.date(), "ended_on": None}
        write_deltalake(self.lake.raw("applications"), pa.Table.from_pylist([row], schema=_NAMES), mode="append")

    def lead(self, who: str, phone: str, probability: float = 0.5, *, loan: str | None = None, third: bool = False,
             holdout: bool = False, related: bool = True, sources: tuple[str, ...] = ("emergency_contact",),
             route: str | None = None) -> None:  # fmt: skip
        """A number that may lead to `who`: their own new one, or a third person's."""
        loan = loan or f"L-{who}"
        self.leads.append({
            "loan_id": loan, "applicant_id": who, "person_id": f"per_{who}", "as_of_date": self.night,
            "rank": 1 + sum(row["loan_id"] == loan for row in self.leads), "phone": self.tel(phone),
            "route": route or ("known_contact" if third else "own_new_number"), "via": ["dev_1"],
            "probability": probability, "allowed": True, "rule": None, "next_allowed_at": None,
            "evidence": json.dumps([{"text": f"Overdue 12345.67 on {loan}; same handset.", "nodes": [],
                                     "relationships": []}]),
            "holdout": holdout, "call_to": "third_person" if third else "debtor", "related": related,
            "sources": list(sources),
        })  # fmt: skip

    def tried(
        self, who: str, outcome: str, ago: timedelta, phone: str | None = None, attempt_id: str | None = None
    ) -> None:
        """An attempt that the lender delivered, so long before noon."""
        self.attempts.append({
            "attempt_id": attempt_id or f"A{len(self.attempts)}", "loan_id": f"L-{who}", "applicant_id": who,
            "phone": self.tel(phone or f"{who}'s own"), "attempted_at": NOON - ago, "channel": "call",
            "outcome": outcome, "collector": None, "op": "upsert", "delivered_on": self.night, "ended_on": None,
        })  # fmt: skip

    def gave_out(self, who: str) -> None:
        """Three failed calls in a row, so that third persons may be asked."""
        for days in (5, 4, 3):
            self.tried(who, "no_answer", days * DAY)

    def written(self, *, beside: bool = False) -> World:
        """Put all rows into the lake, in place of what is there; `beside`: leads and states of before stay."""
        for path, rows, schema in (
            (self.lake.results("leads"), self.leads, _LEADS),
            (self.lake.results("contact_states"), self.states, _STATES),
            (self.lake.raw("contact_attempts"), self.attempts, _ATTEMPTS),
            (self.lake.graph("applicant_person"), self.people, _PEOPLE),
        ):
            write_deltalake(
                path,
                pa.Table.from_pylist(rows, schema=schema),
                mode="append" if beside and "results" in path.parts else "overwrite",
            )
        sealed = [seal(self.keys, token, plain) for token, plain in self.plain.items()]
        table = pa.table({"token": pa.array(list(self.plain)), "sealed": pa.array(sealed, pa.binary())})
        write_deltalake(self.lake.vault, table, mode="overwrite")
        return self

    def loaded(self, store: Store, now: datetime = NOON) -> Loaded:
        """Write the lake and load its night."""
        self.written()
        return load(store, read_night(self.lake), now)

    def queue(self, store: Store, *policies: str) -> Queue:
        """The queue over the store."""
        terms = Terms(tuple(read_policy(name) for name in policies or ("cn",)))
        return Queue(store, terms, self.keys, self.vault)


def dump(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, to see that nothing changed."""
    with store.reading() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=str) for table in TABLES
        }
