"""The one list of node labels and relationship types; adding a type is one entry here.

Everything that names a table, a label or a relationship type reads it from this list: the lake's
tables, the import files, the constraints, the fixed Cypher statements and the checks on `relations` files.

A type is landed or derived. Rows of a landed type come from landing sources, through its `_events` table. Rows of a
derived type are conclusions of `algorithms` as of a night: they have no `_events` table, no file may name them, and
`ingest` leaves their tables alone. Loading and asking make no difference between the two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

ColumnType = Literal["string", "long", "double", "boolean", "timestamp", "date"]
Fold = Literal["sum", "min", "max", "any", "last"]


@dataclass(frozen=True)
class Value:
    """A column beyond the key, and how several dated rows fold into one.

    `last` takes the value of the latest row by (`at`, `delivered_on`, value) that is not null,
    so that the order of the input never decides. `any` is a logical or.
    """

    name: str
    type: ColumnType
    fold: Fold


class Label(StrEnum):
    """Node labels, as written in Neo4j."""

    PERSON = "Person"
    APPLICATION = "Application"
    LOAN = "Loan"
    PHONE = "Phone"
    DEVICE = "Device"
    SIM = "Sim"
    ADDRESS = "Address"
    BANK_CARD = "BankCard"
    ACCOUNT = "Account"
    NETWORK = "Network"
    CHANNEL = "Channel"
    COMPANY = "Company"
    RING = "Ring"


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


@dataclass(frozen=True)
class NodeType:
    """One label: its table in `LAKE/graph` and the columns beyond `id`, `first_seen_at`, `last_seen_at`."""

    label: Label
    values: tuple[Value, ...] = ()
    derived: bool = False

    @property
    def table(self) -> str:
        """Table name in `LAKE/graph`, for example `bank_card`."""
        return _snake(self.label)


@dataclass(frozen=True)
class EdgeType:
    """One relationship type between two labels, read aloud from `src` to `dst`.

    Columns beyond `src`, `dst`, `first_seen_at`, `last_seen_at`, `event_count` and `weight` are `values`. What a later
    stage concludes about some of the edges, `concluded`, is no column of the table: a load takes it from the newest day
    of `LAKE/results/<concluded_in>`, so that a conclusion makes no stage before it run anew.
    """

    relationship: str
    src: Label
    dst: Label
    values: tuple[Value, ...] = ()
    derived: bool = False
    concluded: tuple[Value, ...] = ()
    concluded_in: str = ""  # a table of results with the edge's ends, `concluded_ends`, as its key within a day
    concluded_ends: tuple[str, str] = ("src", "dst")

    @property
    def properties(self) -> tuple[Value, ...]:
        """What Neo4j holds beyond times and `event_count`."""
        return self.values + self.concluded

    @property
    def table(self) -> str:
        """Table name in `LAKE/graph`: the type, after its `src` label where the type leaves from several labels."""
        name = self.relationship.lower()
        several = sum(e.relationship == self.relationship for e in EDGES) > 1
        return f"{_snake(self.src)}_{name}" if several else name


NODES: tuple[NodeType, ...] = (
    NodeType(Label.PERSON, (Value("gender", "string", "last"), Value("birth_year", "long", "last"))),
    NodeType(
        Label.APPLICATION,
        (
            Value("applied_at", "timestamp", "max"),
            Value("amount_cny", "double", "last"),
            Value("product", "string", "last"),
        ),
    ),
    NodeType(
        Label.LOAN,
        (
            Value("disbursed_at", "timestamp", "max"),
            Value("principal_cny", "double", "last"),
            Value("term_months", "long", "last"),
            Value("status", "string", "last"),
        ),
    ),
    NodeType(Label.PHONE, (Value("kind", "string", "last"), Value("carrier", "string", "last"))),
    NodeType(
        Label.DEVICE,
        (
            Value("kind", "string", "last"),
            Value("os", "string", "last"),
            Value("model", "string", "last"),
            Value("batch", "string", "last"),
        ),
    ),
    NodeType(Label.SIM),
    NodeType(Label.ADDRESS, (Value("kind", "string", "min"),)),  # `house` before `unit`: once a house, always one
    NodeType(Label.BANK_CARD),
    NodeType(Label.ACCOUNT),
    NodeType(Label.NETWORK, (Value("kind", "string", "last"),)),
    NodeType(Label.CHANNEL),
    NodeType(Label.COMPANY),
    # JSON texts, for a property holds no maps: parent_ids [id], evidence [{text, nodes, relationships}], lineage
    # [{date, status, from}].
    NodeType(
        Label.RING,
        (
            Value("status", "string", "last"),
            Value("score", "double", "last"),
            Value("size", "long", "last"),
            Value("typology", "string", "last"),
            Value("exposure_cny", "double", "last"),
            Value("as_of_date", "date", "last"),
            Value("born_on", "date", "last"),
            Value("parent_ids", "string", "last"),
            Value("evidence", "string", "last"),
            Value("lineage", "string", "last"),
        ),
        derived=True,
    ),
)

_AMOUNT = Value("amount_cny", "double", "sum")
_SCORE = Value("score", "double", "max")

EDGES: tuple[EdgeType, ...] = (
    EdgeType("SUBMITTED", Label.PERSON, Label.APPLICATION),
    EdgeType("SUBMITTED", Label.COMPANY, Label.APPLICATION),
    EdgeType("FUNDED", Label.APPLICATION, Label.LOAN),
    EdgeType(
        "USES_PHONE",
        Label.PERSON,
        Label.PHONE,
        (Value("held_from", "timestamp", "min"), Value("held_to", "timestamp", "last")),
        # Of persons with a loan overdue or called about: until when the number was theirs, and the chance that it is.
        concluded=(Value("owner_until", "timestamp", "last"), Value("owner_probability", "double", "last")),
        concluded_in="phone_ownership",
        concluded_ends=("person_id", "phone"),
    ),
    EdgeType("USES_DEVICE", Label.PERSON, Label.DEVICE),
    EdgeType("HOLDS_SIM", Label.DEVICE, Label.SIM),
    EdgeType("HOLDS_SIM", Label.PHONE, Label.SIM),
    EdgeType(
        "LISTS_CONTACT",
        Label.PERSON,
        Label.PHONE,
        (
            Value("relation", "string", "last"),
            Value("emergency", "boolean", "any"),
            Value("contact_name", "string", "last"),
        ),
    ),
    EdgeType(
        "CALLED",
        Label.PHONE,
        Label.PHONE,
        (Value("duration_s", "long", "sum"), Value("missed_count", "long", "sum")),
    ),
    EdgeType("LIVES_AT", Label.PERSON, Label.ADDRESS),
    EdgeType("WORKS_AT", Label.PERSON, Label.COMPANY),
    EdgeType("HAS_PHONE", Label.COMPANY, Label.PHONE),
    EdgeType("PAID_WITH", Label.PERSON, Label.BANK_CARD),
    EdgeType("SEEN_ON", Label.PERSON, Label.NETWORK),
    EdgeType("REFERRED_BY", Label.APPLICATION, Label.CHANNEL),
    EdgeType("GUARANTEES", Label.PERSON, Label.PERSON, (_AMOUNT,)),
    EdgeType("GUARANTEES", Label.COMPANY, Label.COMPANY, (_AMOUNT,)),
    EdgeType("SAME_PERSON", Label.PERSON, Label.PERSON, (_SCORE,)),
    EdgeType("RELATED_TO", Label.PERSON, Label.PERSON, (_SCORE,)),
    EdgeType("INVESTED_IN", Label.PERSON, Label.COMPANY, (_AMOUNT,)),
    EdgeType("INVESTED_IN", Label.COMPANY, Label.COMPANY, (_AMOUNT,)),
    EdgeType("OWNS_ACCOUNT", Label.PERSON, Label.ACCOUNT),
    EdgeType("OWNS_ACCOUNT", Label.COMPANY, Label.ACCOUNT),
    EdgeType("TRANSFERRED", Label.ACCOUNT, Label.ACCOUNT, (_AMOUNT,)),
    EdgeType("REPAID", Label.ACCOUNT, Label.LOAN, (_AMOUNT,)),
    EdgeType("DEPOSITED", Label.LOAN, Label.ACCOUNT, (_AMOUNT,)),
    EdgeType("SIGNED_IN", Label.DEVICE, Label.ACCOUNT),
    EdgeType("SIGNED_IN", Label.PHONE, Label.ACCOUNT),
    EdgeType("SIGNED_IN", Label.NETWORK, Label.ACCOUNT),
    EdgeType(
        "MEMBER_OF",
        Label.PERSON,
        Label.RING,
        (Value("role", "string", "last"), Value("score", "double", "last"), Value("evidence", "string", "last")),
        derived=True,
    ),
)

RELATIONSHIPS: tuple[str, ...] = tuple(dict.fromkeys(e.relationship for e in EDGES))
TABLES: tuple[NodeType | EdgeType, ...] = (*NODES, *EDGES)
LANDED_NODES: tuple[NodeType, ...] = tuple(n for n in NODES if not n.derived)
LANDED_EDGES: tuple[EdgeType, ...] = tuple(e for e in EDGES if not e.derived)
LANDED_RELATIONSHIPS: tuple[str, ...] = tuple(dict.fromkeys(e.relationship for e in LANDED_EDGES))
NODE_BY_LABEL: dict[str, NodeType] = {n.label: n for n in NODES}
EDGE_BY_TABLE: dict[str, EdgeType] = {e.table: e for e in EDGES}
# What a `relations` file may say.
EDGE_BY_ENDS: dict[tuple[str, str, str], EdgeType] = {(e.relationship, e.src, e.dst): e for e in LANDED_EDGES}
