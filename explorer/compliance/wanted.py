"""Which lines of the audit log somebody wants to see: what a browser may send, and from a typed text to ids."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from explorer.canvas.people import People
from graph.audit import Search
from graph.identifiers import canonical
from graph.tokens import Keys, Kind

_ID = re.compile(r"[A-Za-z][A-Za-z0-9]*_[A-Za-z0-9_-]{1,72}")
_NUMBERS = (Kind.PHONE, Kind.IMEI, Kind.ICCID, Kind.BANK_CARD)
_PERSONS = 20
# Kinds of lines, by a part of the action that they have; `all` has none.
KINDS: dict[str, re.Pattern[str]] = {
    "all": re.compile(""), "values": re.compile(r"reveal|leads\.call"), "exports": re.compile("export"),
    "verdicts": re.compile(r"judge|change|assign"), "sign_ins": re.compile(r"sign_in|sign_out|password"),
    "users": re.compile(r"people|users"), "audit": re.compile("compliance"),
}  # fmt: skip

Name = Annotated[str, StringConstraints(max_length=64)]
Id = Annotated[str, StringConstraints(max_length=96, pattern=r"^[A-Za-z0-9_-]+$")]


class Wanted(BaseModel):
    """A search as the browser keeps it between pages; ids only, never what was typed.

    Attributes:
        named: whether an object was asked for, though perhaps none is known by it.
        head: the newest line when the search began. `before`: where each page after the first begins.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    user: Name = ""
    kind: str = Field(default="all", pattern="^(" + "|".join(KINDS) + ")$")
    named: bool = False
    objects: tuple[Id, ...] = Field(default=(), max_length=60)
    since: dt.date | None = None
    until: dt.date | None = None
    head: int = Field(default=0, ge=0)
    before: tuple[int, ...] = ()

    def search(self, zone: str, actions: Iterable[str]) -> Search | None:
        """Return the question to the log; None where nothing can be found. Days are those of the zone, inclusive."""
        named = KINDS[self.kind]
        wanted = () if self.kind == "all" else tuple(action for action in actions if named.search(action))
        if (self.kind != "all" and not wanted) or (self.named and not self.objects):
            return None
        since = _midnight(self.since, zone)
        until = _midnight(self.until + dt.timedelta(days=1) if self.until else None, zone)
        return Search(self.user.strip(), wanted, self.objects, since, until, self.head)

    def told(self) -> str:
        """Return the search for the audit log: ids, days and names of users, nothing else."""
        days = f"{self.since or ''}..{self.until or ''}" if self.since or self.until else ""
        user = self.user if re.fullmatch(r"[\w.@-]{0,64}", self.user) else "…"
        parts = [("kind", self.kind), ("user", user), ("days", days), ("page", str(len(self.before) + 1))]
        said = " ".join(f"{name}={value}" for name, value in parts if value)
        return " ".join(["audit", said, *self.objects])


def _midnight(day: dt.date | None, zone: str) -> dt.datetime | None:
    return None if day is None else dt.datetime.combine(day, dt.time(), ZoneInfo(zone))


def ids(text: str, keys: Callable[[], Keys], people: People) -> tuple[str, ...]:
    """Return the ids that a typed text may stand for in the log: itself, tokens of a number, persons of that name.

    What was typed is compared as it is only where it has the form of an id of ours.
    """
    text = text.strip()[:200]
    if _ID.fullmatch(text):
        return (text,)
    found: list[str] = []
    for kind in _NUMBERS:
        form = canonical(kind, text)
        if form.value is not None:
            found.append(keys().token(kind, form.value))
    for kind, column in ((Kind.ID_NUMBER, "id_number"), (Kind.NAME, "name")):
        form = canonical(kind, text)
        if form.value is None or (kind == Kind.NAME and re.search("[0-9]", text)):
            continue
        token = keys().token(kind, form.value)
        found += [token, *(end.id for end in people.by_token(column, token, _PERSONS))]  # type: ignore[arg-type]
    return tuple(dict.fromkeys(found))
