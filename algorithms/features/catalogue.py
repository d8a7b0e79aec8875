"""Every graph feature of an application, declared once: the table's columns and the catalogue page come from here."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Literal

AGE_DAYS = (1, 7, 30, 90, 365)
BURST_HOURS = {"1h": 1, "1d": 24, "7d": 168}
PAIR_CAP = 100


@dataclass(frozen=True)
class Kind:
    """One kind of thing an application names and other persons may share.

    Attributes:
        column: the column of `applications` that names it.
        paired: whether sharing it makes two persons neighbors of each other, not only counts.
        bursts: whether applications that name it are counted.
    """

    name: str
    column: str
    meaning: str
    sources: str
    paired: bool = True
    bursts: bool = True


KINDS: tuple[Kind, ...] = (
    Kind("phone", "phone", "own number", "applications"),
    Kind("device", "device_id", "app device", "applications, devices"),
    Kind("imei", "imei", "handset", "applications, devices"),
    Kind("sim", "iccid", "SIM", "applications, devices"),
    Kind("bank_card", "bank_card", "bank card", "applications"),
    Kind("address", "address", "address", "applications"),
    Kind("employer", "employer", "employer", "applications"),
    Kind("employer_phone", "employer_phone", "employer's number", "applications"),
    Kind("ip", "ip", "IP address", "applications, devices"),
    Kind("wifi", "wifi_bssid", "Wi-Fi", "applications, devices"),
    Kind("channel", "channel", "channel", "applications", paired=False),
    Kind("listed_by", "phone", "own number in address books", "contacts", paired=False, bursts=False),
)
PAIR_KINDS: tuple[str, ...] = tuple(kind.name for kind in KINDS if kind.paired)


@dataclass(frozen=True)
class Feature:
    """One column of `LAKE/features/application_graph`: what it says, when it is null, and which rows it reads."""

    name: str
    family: str
    meaning: str
    dtype: Literal["long", "double", "boolean"]
    null: str
    source: str

    @property
    def unit(self) -> str:
        """Return the unit that the name's suffix tells."""
        if self.dtype == "boolean":
            return "yes or no"
        return {"count": "count", "ratio": "ratio 0–1", "days": "days", "score": "score 0–1"}[self.name.split("_")[-1]]


def _count(family: str, name: str, meaning: str, null: str, source: str) -> Feature:
    return Feature(name, family, meaning, "long", null, source)


def _real(family: str, name: str, meaning: str, null: str, source: str) -> Feature:
    return Feature(name, family, meaning, "double", null, source)


def _shared(kind: Kind) -> list[Feature]:
    """Features of one kind of shared node."""
    name, family = kind.name, "Shared nodes"
    who = (
        "other persons who list the own number" if name == "listed_by" else f"other persons seen on the {kind.meaning}"
    )
    unnamed = f"the application names no {kind.column}"
    nobody = f"{name}_neighbor_count is null or 0"
    known = f"{kind.sources}, applicant_person"
    found = [_count(family, f"{name}_neighbor_count", who, unnamed, known)]
    for days in AGE_DAYS:
        within = "in the last day" if days == 1 else f"in the last {days} days"
        found += [
            _count(family, f"{name}_neighbor_{days}d_count", f"{who}, first {within}", unnamed, known),
            _real(family, f"{name}_neighbor_{days}d_ratio", f"{who}: share first seen {within}", nobody, known),
        ]
    found += [
        _count(family, f"{name}_fraud_count", f"{who}, confirmed as fraud by then", unnamed, f"{known}, labels"),
        _real(family, f"{name}_fraud_ratio", f"{who}: share confirmed as fraud by then", nobody, f"{known}, labels"),
        _count(
            family, f"{name}_overdue_count", f"{who}, with an instalment due and unpaid by then", unnamed,
            f"{known}, loans, repayments",
        ),
        _real(
            family, f"{name}_overdue_ratio", f"{who}: share of those with a loan who had an instalment due and unpaid",
            "none of them has a loan", f"{known}, loans, repayments",
        ),
        _real(
            family, f"{name}_first_seen_days", f"days since anyone was first seen on the {kind.meaning}",
            "nobody was", known,
        ),
    ]  # fmt: skip
    if kind.bursts:
        for window, hours in BURST_HOURS.items():
            within = "hour" if hours == 1 else f"{hours} hours" if hours < 48 else f"{hours // 24} days"
            found.append(
                _count(
                    family, f"{name}_application_{window}_count",
                    f"other persons' applications that name the {kind.meaning}, in the last {within}", unnamed,
                    "applications, applicant_person",
                )
            )  # fmt: skip
    return found


def _neighbors() -> list[Feature]:
    family = "Neighbors"
    nothing = "the application names nothing that makes neighbors"
    none = "neighbor_count is null or 0"
    shared = "applications, devices, applicant_person"
    rings = "no ring result is older than the day"
    return [
        _count(family, "hub_count", f"own nodes with more than {PAIR_CAP} persons, through which no neighbor is sought",
               nothing, shared),
        _count(family, "neighbor_count",
               "neighbors: distinct other persons who share a node that is no hub", nothing, shared),
        _count(family, "neighbor_30d_count", "neighbors first on a shared node in the last 30 days", nothing, shared),
        _real(family, "neighbor_latest_days", "days since the newest neighbor came to a shared node", none, shared),
        _count(family, "neighbor_kind_max_count", "most kinds of nodes shared with one neighbor", none, shared),
        _count(family, "neighbor_fraud_count", "neighbors confirmed as fraud by then", nothing, f"{shared}, labels"),
        _real(family, "neighbor_fraud_ratio",
              "share of neighbors confirmed as fraud by then", none, f"{shared}, labels"),
        _count(family, "neighbor_overdue_count", "neighbors with an instalment due and unpaid by then", nothing,
               f"{shared}, loans, repayments"),
        _real(family, "neighbor_overdue_ratio", "share of neighbors with a loan who had an instalment due and unpaid",
              "none of them has a loan", f"{shared}, loans, repayments"),
        _count(family, "neighbor_ring_count", "neighbors in a ring by the newest result before the day",
               f"{nothing}, or {rings}", f"{shared}, ring_members"),
        _count(family, "second_hop_count",
               "links from neighbors to further persons, over nodes that are no hubs and not the applicant's", none,
               shared),
        _real(family, "second_hop_mean_count", "mean number of links from a neighbor to further persons", none, shared),
        _count(family, "second_hop_max_count", "most links from one neighbor to further persons", none, shared),
        _real(family, "second_hop_fraud_ratio",
              "share of links from neighbors to further persons that end at one confirmed as fraud",
              "second_hop_count is null or 0", f"{shared}, labels"),
    ]  # fmt: skip


def _calls() -> list[Feature]:
    family, unknown, source = "Calls of the own number", "no call of the own number is known", "calls"
    quiet = "no call out in the last 30 days is known"
    agents = "calls, applications, applicant_person"
    return [
        _count(family, "call_30d_count", "calls in the last 30 days", unknown, source),
        _count(family, "call_counterpart_count", "distinct numbers called or calling", unknown, source),
        _count(family, "call_counterpart_30d_count",
               "distinct numbers called or calling in the last 30 days", unknown, source),
        _real(family, "call_out_ratio", "share of calls that went out", unknown, source),
        _real(family, "call_applicant_ratio", "share of counterparts that are another applicant's own number", unknown,
              agents),
        _real(family, "call_agent_30d_ratio",
              "share of calls out in the last 30 days to numbers that other applicants called in the 30 days before "
              "they applied", quiet, agents),
        _count(family, "call_agent_number_30d_count",
               "distinct numbers called that other applicants called in the 30 days before they applied",
               quiet, agents),
        _count(family, "call_agent_applicant_max_count",
               "most other applicants who called one number called, in the 30 days before they applied", quiet, agents),
    ]  # fmt: skip


def _contacts() -> list[Feature]:
    family, unknown, source = "Contacts", "no contact of the person is known", "contacts, applicant_person"
    owners = f"{source}, applications"
    return [
        _count(family, "contact_count", "distinct numbers in the address book or named as contacts", unknown, source),
        _count(family, "contact_applicant_count", "contacts that are another applicant's own number", unknown, owners),
        _real(family, "contact_applicant_ratio", "share of contacts that are another applicant's own number", unknown,
              owners),
        _real(family, "contact_shared_ratio", "share of contacts that another person lists too", unknown, source),
        _real(family, "contact_called_ratio", "share of contacts ever called, or ever calling",
              f"{unknown}, or no call of the own number is", f"{source}, calls"),
        _count(family, "emergency_contact_count", "distinct emergency contacts", unknown, source),
        _count(family, "emergency_applicant_count",
               "emergency contacts that are another applicant's own number", unknown, owners),
        _count(family, "emergency_shared_count", "emergency contacts that are another person's too", unknown, source),
    ]  # fmt: skip


def _own() -> list[Feature]:
    rings = "no ring result is older than the day, or the applicant was not known before"
    outside = "ring_member is null or no"
    family, source = "Rings", "ring_members, rings"
    return [
        _real("Own number", "phone_age_days", "days since the own number was opened, as last reported",
              "no opening before the application is known", "phones"),
        Feature("ring_member", family, "in a ring by the newest result before the day", "boolean", rings, source),
        _real(family, "ring_member_score", "score of the membership", outside, source),
        _real(family, "ring_score", "score of the ring", outside, source),
        _count(family, "ring_size_count", "members of the ring", outside, source),
    ]  # fmt: skip


FEATURES: tuple[Feature, ...] = (
    *(feature for kind in KINDS for feature in _shared(kind)),
    *_neighbors(), *_calls(), *_contacts(), *_own(),
)  # fmt: skip

_HEAD = f"""# Graph features of an application

Written by `python -m algorithms features catalogue` from `algorithms/features/catalogue.py`; edit that, not this page.

`LAKE/features/application_graph` holds one row for each application: `application_id` (key), `applicant_id`,
`person_id` (as known then; empty for a new applicant), `applied_at` (UTC), `applied_on` (its date, the partition),
`by_delivery`, and the {len(FEATURES)} features below.

**As of.** With T = `applied_at`, a row counts only if its event time is before T, not at T, and if it had been
delivered, and not yet replaced or deleted, on T's day. The application's own row is known at T although it is delivered
later; of several deliveries of it the first one counts. What else the same applicant delivers with it (address book,
calls) counts from its own delivery on. Rings of a day see the whole day, so that only results of earlier days count.
The applicant's own person is never its own neighbor.

**`by_delivery`** is false where delivery dates were set aside: then each row counts in the version that stands today,
and only its event time is held against T. That is for training on a history that came as one bulk delivery, whose
dates say nothing about what was known when.

**Zero and unknown.** 0 says that it is known and there is none; empty says that it is not known, under the condition
beside the feature. Windows include their start: "in the last 7 days" is from T − 7 days until before T.

**Hubs.** Counts at a node are exact however many persons are on it. Neighbors are sought person by person only
through nodes with at most {PAIR_CAP} persons before T; `hub_count` tells how many were passed over.
"""


def page() -> str:
    """Return the catalogue page in Markdown, in the order of the table's columns."""
    parts = [_HEAD]
    for family, features in groupby(FEATURES, key=lambda feature: feature.family):
        parts += [f"\n## {family}\n", "| feature | says | unit | empty where | from |", "|---|---|---|---|---|"]
        parts += [f"| `{f.name}` | {f.meaning} | {f.unit} | {f.null} | {f.source} |" for f in features]
    return "\n".join(parts) + "\n"
