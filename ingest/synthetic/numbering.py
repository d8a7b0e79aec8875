"""Numbers that look real and never meet by accident: every kind is a keyed bijection of a disjoint slot range.

A slot is (person, k): the same slot gives the same number in every block, so that one block can write down
another's phone without seeing it. All functions are elementwise on numpy arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

# Forty mobile prefixes in use; 4 * 10**9 numbers in all, 40 for each of 10**8 people.
PREFIXES = np.array(
    [*range(130, 140), *range(150, 154), *range(155, 160), 166, 171, 173, *range(175, 179), *range(180, 190),
     191, 193, 198, 199],
    dtype=np.int64,
)  # fmt: skip
MOBILES = len(PREFIXES) * 10**8
LANDLINE = 10**12  # added to a fixed line's digits, whose leading zero an integer would lose
_AREAS = np.array([10, 20, 21, 23, 25, 27, 28, 29, 755, 571, 591, 731, 371, 531, 769, 757], dtype=np.int64)
# Counties that kept their code through all birth years, so that checks of the birth place agree.
_REGIONS = np.array(
    [110101, 110105, 110107, 110109, 120101, 120103, 120105, 140121, 140122, 140123, 150122, 152201, 152501,
     210224, 210421, 210727, 210922, 222401, 222402, 222424, 230722, 232721, 310101, 310105, 310107, 330122,
     330127, 340121, 340421, 340621, 350121, 360121, 422822, 422825, 422921, 430121, 433123, 433126, 510121,
     513323, 513338, 520203, 522628, 522701, 530124, 532528, 532924, 540121, 540127, 542524, 610323, 610326,
     610328, 620121, 622923, 623021, 632221, 632523, 632626, 640121, 640122, 640221, 650121, 652828, 653123],
    dtype=np.int64,
)  # fmt: skip
TWIN_REGION = 64  # the last region is kept for twins, whose numbers are consecutive
BIRTH_DAYS = 15_625
_FIRST_BIRTH = -2_922  # 1962-01-01; the last is 2004-10
_DEVICES = 400 * 10**6


def mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Scramble 64 bits one to one (the finalizer of splitmix64, Steele et al. 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def permute(x: Ints, size: int, key: int) -> Ints:
    """Map [0, size) one to one onto itself; `size` is at most 2**32, a multiple of 10**5 with no prime but 2 and 5."""
    rng = np.random.default_rng([key, size])
    m, low = np.uint64(size), np.uint64(100_000)
    for turn in range(2):
        factor = int(rng.integers(size // 3, size // 2)) // 10 * 10 + (3, 7)[turn]
        x = ((x.astype(np.uint64) * np.uint64(factor) + np.uint64(rng.integers(size))) % m).astype(np.int64)
        if turn == 0:
            x = (x % 100_000) * (size // int(low)) + x // 100_000
    return x


def luhn(body: Ints, digits: int) -> Ints:
    """Check digit for a body of so many digits."""
    total = np.zeros_like(body)
    for place in range(digits):
        digit = (body // 10**place) % 10
        if place % 2 == 0:
            digit = np.where(digit > 4, 2 * digit - 9, 2 * digit)
        total += digit
    return (10 - total % 10) % 10


@dataclass(frozen=True)
class Numbers:
    """All numbers of one world. `people` fixes how many slots a person has: 40 of 10**8 people, 400 up to 10**7."""

    people: int
    seed: int

    @cached_property
    def slots(self) -> int:
        """Mobile numbers per person: 0 own, 1-2 later own, 3 a helper's or agent's, the rest belong to outsiders."""
        return min(400, MOBILES // self.people)

    def mobile(self, person: Ints, k: Ints | int = 0) -> Ints:
        """11-digit mobile number of a slot."""
        code = permute(person * self.slots + k, MOBILES, self.seed * 8 + 1)
        return PREFIXES[code // 10**8] * 10**8 + code % 10**8

    def landline(self, place: Ints) -> Ints:
        """Fixed line of the `place`-th employer, with `LANDLINE` added."""
        code = permute(place, 800_000_000, self.seed * 8 + 2)
        area, rest = _AREAS[code % 16], 30_000_000 + code // 16
        return LANDLINE + area * 10**8 + rest

    def iccid(self, person: Ints, k: Ints | int = 0) -> Ints:
        """Thirteen digits of a SIM card, without 8986, carrier and check digit."""
        return permute(person * self.slots + k, MOBILES, self.seed * 8 + 3)

    def imei(self, person: Ints, k: Ints | int = 0) -> Ints:
        """Fourteen digits of a handset: type allocation code and serial."""
        code = permute(person * 4 + k, _DEVICES, self.seed * 8 + 4)
        return (86_000_000 + (code // 10**6) * 2_011 + 1_234) * 10**6 + code % 10**6

    def farm_imei(self, index: Ints) -> Ints:
        """Fourteen digits of a farm's handset: consecutive serials of one type, from types nobody else has."""
        return 35_900_000 * 10**6 + index

    def id_code(self, human: Ints) -> Ints:
        """Region, birth day and sequence of an id number as one integer below 10**9."""
        return permute(human, 64 * BIRTH_DAYS * 1_000, self.seed * 8 + 5)

    def card(self, person: Ints, k: Ints | int = 0) -> Ints:
        """Eighteen digits of a bank card, without the check digit."""
        return 622_000_000_000_000_000 + permute(person * 4 + k, _DEVICES, self.seed * 8 + 6) * 317_001

    def house(self, index: Ints) -> Ints:
        """House of the `index`-th household; streets fill up beyond 2 * 10**7 people."""
        return permute(index % 20_000_000, 20_000_000, self.seed * 8 + 7)

    def employer(self, index: Ints) -> Ints:
        """Name code of the `index`-th employer, below 2 * 10**7."""
        return permute(index, 20_000_000, self.seed * 8 + 8)

    def opaque(self, index: Ints, kind: int) -> npt.NDArray[np.uint64]:
        """64 scrambled bits, one to one, for device numbers, network addresses and coin tosses that need no stream."""
        return mix(index.astype(np.uint64) ^ mix(np.array([self.seed * 64 + kind + 1], dtype=np.uint64)))


def birth_day(id_code: Ints) -> Ints:
    """Days since 1970 of the birth date in an id code."""
    return _FIRST_BIRTH + (id_code // 1_000) % BIRTH_DAYS


def is_male(id_code: Ints) -> npt.NDArray[np.bool_]:
    """Whether the sequence number is odd."""
    return np.asarray(id_code % 2 == 1, dtype=np.bool_)


def id_digits(id_code: Ints) -> tuple[Ints, Ints]:
    """Seventeen digits and the GB 11643 check value (10 stands for X)."""
    dates = birth_day(id_code).astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    year = dates.astype("datetime64[Y]").astype(np.int64) + 1970
    month = months.astype(np.int64) % 12 + 1
    day = (dates - months).astype(np.int64) + 1
    date = year * 10**4 + month * 10**2 + day
    body = _REGIONS[id_code // (BIRTH_DAYS * 1_000)] * 10**11 + date * 10**3 + id_code % 1_000
    total = np.zeros_like(body)
    for place in range(17):
        total += (body // 10**place) % 10 * pow(2, place + 1, 11)
    return body, (12 - total % 11) % 11
