"""How many of everything the synthetic world holds; each share with its unit and where the figure comes from.

"assumed" marks our own guess: to be swept, never tuned to.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, field

DAY = 86_400
_EPOCH = dt.date(1970, 1, 1)


@dataclass(frozen=True)
class WorldSettings:
    """Everything that shapes a world. Two equal settings give equal bytes.

    Ring typologies are all planted once in block 0, small, whatever the fraud share: below about 8,000 applicants
    the world therefore holds more fraud than `fraud_among_labeled` asks for.
    """

    applicants: int = 2_000
    nights: int = 2
    seed: int = 0
    end_date: dt.date = dt.date(2026, 6, 30)  # date of the last delivery folder
    history_days: int = 365  # days before the first night in which people applied; assumed
    compress: bool = True  # .csv.gz, else .csv

    # people
    fraud_among_labeled: float = 0.013  # share of labeled people (DGraph-Fin 1.3 %; T-Finance 4.6 %, Elliptic 9.8 %)
    labeled_share: float = 0.331  # share of all people (DGraph-Fin: 66.9 % nobody labeled)
    labeled_fraud_share: float = 0.5  # share of fraudsters whose label arrives at all; assumed
    label_wrong_share: float = 0.05  # share of wrong verdicts among fraudsters, and among fraud verdicts; assumed
    label_delay_days: tuple[int, int] = (40, 200)  # days from application to label; assumed
    lone_fraud_share: float = 0.1  # share of fraudsters in no ring; assumed
    mega_ring_share: float = 0.15  # share of the fraud in rings of 300 and more; assumed
    mega_ring_every_blocks: int = 25  # one block in so many has such a ring: from 250,000 people on; assumed
    applicants_per_lookalike: int = 4_000  # people per group of each look-alike kind, one a block at least; assumed
    reapplication_share: float = 0.015  # share of applicants who are a human's second customer number; assumed
    second_application_share: float = 0.15  # share of applicants with a later second application; assumed
    second_device_share: float = 0.25  # share of people with two devices (1-2 a person); assumed
    couple_share: float = 0.06  # share of people who share household and emergency contact with a neighbor; assumed
    blank_field_share: float = 0.06  # share of each optional application field left blank; assumed
    number_change_per_year: float = 0.10  # share of people a year; assumed
    number_change_default_factor: float = 5.0  # times more often in default; assumed
    recycle_after_days: int = 90  # days a closed number rests before a stranger gets it; assumed

    # contacts and calls
    emergency_contacts: float = 2.6  # mean per applicant, at most 4 (DGraph-Fin <= 3.5)
    book_median: float = 120.0  # entries of an address book; assumed
    book_p99: float = 1_500.0  # entries; assumed
    book_limit: int = 4_000  # entries; a handset's practical limit, assumed
    unknown_name_share: float = 0.17  # share of entries without a name (10-25 %); assumed
    calls_per_month: float = 12.9  # mean per phone (Shanghai: 698 M logs, 54 M users)
    call_tail_alpha: float = 2.2  # Pareto exponent of the busiest callers; assumed
    call_tail_share: float = 0.02  # share of people in that tail; assumed
    call_days_before_application: int = 30  # days of call log read at application; assumed
    call_days_recent: int = 30  # days of calls before the first night, for everybody; assumed
    spelling_share: float = 0.12  # share of phones with +86, 0086, spaces, dashes, full-width digits; assumed

    # credit
    approved_share: float = 0.75  # share of applications funded; assumed
    bad_share: float = 0.045  # share of honest loans that stop paying; assumed
    bad_share_fraud: float = 0.7  # share of fraud loans that stop paying; assumed
    late_share: float = 0.08  # share of good instalments paid 1-20 days late; assumed
    lost_share: float = 0.15  # share of loans 30+ days overdue whose borrower is lost (swept 5 / 15 / 30 %); assumed

    # delivery
    late_rows: float = 0.01  # share of rows delivered 1-30 days late; assumed
    redelivered_rows: float = 0.002  # share of rows delivered once more; assumed
    corrected_rows: float = 0.003  # share of applications and attempts corrected later; assumed
    deleted_rows: float = 0.0002  # share of contacts, devices and phones withdrawn later by `op=delete`; assumed
    dirty_rows: float = 0.0005  # share of rows that exist once more with a defect; assumed

    def __post_init__(self) -> None:
        if self.applicants < 1 or self.nights < 1:
            raise ValueError(f"applicants and nights must be at least 1; found {self.applicants} and {self.nights}")
        if self.applicants > 100_000_000:
            raise ValueError(f"applicants may be at most 10**8, as numbers run out; found {self.applicants}")
        bad = [n for n, v in vars(self).items() if n.endswith("_share") and not 0 <= v <= 1]
        if bad:
            raise ValueError(f"shares must lie in [0, 1]; {bad} do not")

    @property
    def fraud_share(self) -> float:
        """Share of all people who are fraudsters, so that among labeled people it is `fraud_among_labeled`."""
        s, honest, fraud = self.fraud_among_labeled, self.labeled_share, max(self.labeled_fraud_share, 1e-6)
        return s * honest / (s * honest + (1 - s) * fraud)

    @property
    def blocks(self) -> int:
        """Number of blocks, from the size only: 2,000 people each in a small world, up to 10,000 in a large one."""
        size = min(10_000, max(2_000, math.ceil(self.applicants / 16_000) * 1_000))
        return math.ceil(self.applicants / size)

    def bounds(self, block: int) -> tuple[int, int]:
        """First applicant of a block and first of the next one."""
        return block * self.applicants // self.blocks, (block + 1) * self.applicants // self.blocks

    @property
    def last_day(self) -> int:
        """Day number (since 1970) of the last delivery."""
        return (self.end_date - _EPOCH).days

    @property
    def first_day(self) -> int:
        """Day number of the first delivery, which brings the history."""
        return self.last_day - self.nights + 1

    @property
    def start(self) -> int:
        """Local second (since 1970-01-01 00:00 +08:00) at which the first people applied."""
        return (self.first_day - self.history_days) * DAY

    @property
    def end(self) -> int:
        """Local second at which the last delivered day ends, exclusive."""
        return self.last_day * DAY

    @property
    def book_sigma(self) -> float:
        """Standard deviation of the logarithm of the size of an address book."""
        return math.log(self.book_p99 / self.book_median) / 2.3263


@dataclass(frozen=True)
class WorldCounts:
    """What was written: landing rows per source, of which repeats, dirty rows and lines with a wrong field count.

    `rows` counts every line below a header: read = accepted + duplicate + quarantined adds up to it.
    """

    blocks: int = 0
    files: int = 0
    bytes: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    dirty: dict[str, int] = field(default_factory=dict)
    malformed: dict[str, int] = field(default_factory=dict)
    redelivered: dict[str, int] = field(default_factory=dict)
    truth: dict[str, int] = field(default_factory=dict)

    def __add__(self, other: WorldCounts) -> WorldCounts:
        def both(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
            return {k: a.get(k, 0) + b.get(k, 0) for k in sorted({*a, *b})}

        return WorldCounts(
            self.blocks + other.blocks,
            self.files + other.files,
            self.bytes + other.bytes,
            both(self.rows, other.rows), both(self.dirty, other.dirty), both(self.malformed, other.malformed),
            both(self.redelivered, other.redelivered), both(self.truth, other.truth),
        )  # fmt: skip
