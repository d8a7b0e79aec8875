"""From what somebody types to nodes: a number in any spelling, an id, a name, a device, a ring.

A plain value becomes tokens in this process, in every kind that its form allows, and only tokens are asked for. What
is typed reaches Neo4j as it is only where it can be nobody's value: an id of the lender's own, by its form.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from explorer.canvas.people import People
from graph.answers import End, Node
from graph.identifiers import canonical
from graph.lookup import OPAQUE, PLAIN, resolve
from graph.reader import GraphReader
from graph.schema import Label
from graph.tokens import PREFIX, Keys, Kind
from graph.vault import is_token

SUGGEST_FROM = 3
LONGEST = 400
_CHANNELS = 200
_EACH = 5
_TOKEN_START = re.compile(r"[a-z]{3}_[0-9a-f]{0,32}")
_TOKEN_LABELS = {prefix: label for name, (label, kind) in PLAIN.items() for prefix in [PREFIX[kind]]}
# Free text can be anything: as these it is tried only if it has a letter that no id or number would have.
_FREE = (Kind.ADDRESS, Kind.COMPANY)
_NUMBERS = (Kind.PHONE, Kind.IMEI, Kind.ICCID, Kind.BANK_CARD, Kind.IP, Kind.WIFI)
_OPAQUE_KINDS = (Kind.DEVICE_ID, Kind.ACCOUNT)
_LABEL_OF = {kind: label for label, kind in PLAIN.values()}
_STARTS = ((Label.PERSON, "per_"), (Label.RING, "ring_"))
_SAMPLE = 20
_KEEP_SECONDS = 600


@dataclass(frozen=True)
class Found:
    """The nodes that a text names, and whether persons were looked for by name or id number."""

    nodes: tuple[Node, ...]
    by_person: bool = False


class Shapes:
    """How the lender's own ids look, learned from the graph: letters as they are, each run of digits as one 9."""

    def __init__(self, reader: Callable[[], GraphReader]) -> None:
        self._reader = reader
        self._known: tuple[float, dict[Label, frozenset[str]]] = (float("-inf"), {})

    def labels(self, text: str) -> list[Label]:
        """Return the labels of whose ids a text may be one, or the beginning of one.

        None for a text without a letter first: it may be somebody's number.
        """
        shape = _shape(text)
        if not shape[:1].isalpha() or "9" not in shape:
            return []
        if time.monotonic() - self._known[0] > _KEEP_SECONDS:
            reader = self._reader()
            ids = {label: reader.starting_with(label.value, "", _SAMPLE) for label in (Label.APPLICATION, Label.LOAN)}
            applicants = [id.removeprefix("per_") for id in reader.starting_with(Label.PERSON.value, "per_", _SAMPLE)]
            found = {**ids, Label.PERSON: applicants}
            known = {label: frozenset(_shape(id) for id in some) for label, some in found.items()}
            self._known = (time.monotonic(), known)
        return [label for label, known in self._known[1].items() if any(one.startswith(shape) for one in known)]


def _shape(text: str) -> str:
    return re.sub(r"[0-9]+", "9", text)


def ends(text: str, keys: Callable[[], Keys], shapes: Shapes) -> list[End]:
    """Return the nodes that a text may name, likeliest first; whether they are there is another question.

    Raises:
        graph.lookup.LookupFailedError: `KIND:VALUE` was typed and its value may never be a node.
    """
    text = text.strip()[:LONGEST]
    if not text:
        return []
    kind = text.partition(":")[0].strip().lower()
    if is_token(text) or (":" in text and (kind in PLAIN or kind in OPAQUE or kind == "idn")):
        return [resolve(text, keys)]
    found = [End(label.value, id) for label, id in _own_ids(text, shapes)]
    forms = [(of, canonical(of, text).value) for of in _kinds(text)]
    if any(value is not None for _, value in forms):
        held = keys()
        found += [End(_LABEL_OF[of].value, held.token(of, value)) for of, value in forms if value is not None]
    return list(dict.fromkeys(found))


def search(
    text: str, reader: GraphReader, keys: Callable[[], Keys], people: People, shapes: Shapes, limit: int = 20
) -> Found:
    """Return the nodes that a text names, those of the graph only.

    Raises:
        graph.lookup.LookupFailedError: `KIND:VALUE` was typed and its value may never be a node.
    """
    text = text.strip()[:LONGEST]
    persons = _persons(text, keys, people, limit)
    asked = [*persons, *ends(text, keys, shapes)]
    nodes, _ = reader.gather([(end.label, end.id) for end in asked], [])
    place = {(end.label, end.id): number for number, end in reversed(list(enumerate(asked)))}
    return Found(tuple(sorted(nodes, key=lambda node: place[node.label, node.id]))[:limit], bool(persons))


def suggest(text: str, reader: GraphReader, shapes: Shapes, limit: int = 8) -> tuple[End, ...]:
    """Return nodes whose id begins with a text of three letters or more; nothing for what may be a person's value."""
    text = text.strip()
    if not SUGGEST_FROM <= len(text) <= 64:
        return ()
    kind, colon, rest = text.partition(":")
    if colon and kind.lower() in OPAQUE:
        label = OPAQUE[kind.lower()]
        return _starting(reader, [(label, rest.strip())], limit) if rest.strip() else ()
    if _TOKEN_START.fullmatch(text) and text[:3] in _TOKEN_LABELS:
        return _starting(reader, [(_TOKEN_LABELS[text[:3]], text)], limit)
    found = _starting(reader, list(_own_ids(text, shapes)), limit)
    # Channels are few, and named by words: they are compared here, so that no word that is typed leaves.
    names = reader.starting_with(Label.CHANNEL.value, "", _CHANNELS) if text.isascii() else ()
    channels = [End(Label.CHANNEL.value, id) for id in names if id.lower().startswith(text.lower())]
    return tuple(dict.fromkeys([*found, *channels]))[:limit]


def _own_ids(text: str, shapes: Shapes) -> Iterable[tuple[Label, str]]:
    """Yield the lender's ids, and ours, that a text may be, or may begin."""
    for label, start in _STARTS:
        if text.startswith(start) or (len(text) >= SUGGEST_FROM and start.startswith(text)):
            yield label, text
            return
    for label in shapes.labels(text):
        yield label, f"per_{text}" if label is Label.PERSON else text


def _starting(reader: GraphReader, asked: list[tuple[Label, str]], limit: int) -> tuple[End, ...]:
    return tuple(
        End(label.value, id)
        for label, prefix in asked
        for id in reader.starting_with(label.value, prefix, min(limit, _EACH if len(asked) > 1 else limit))
    )


def _kinds(text: str) -> list[Kind]:
    kinds = [*_NUMBERS]
    if re.search(r"[0-9]", text) and not re.search(r"[^\x21-\x7e]", text):
        kinds += _OPAQUE_KINDS
    if re.search(r"[^\W\d_]", text):
        kinds += _FREE
    return kinds


def _persons(text: str, keys: Callable[[], Keys], people: People, limit: int) -> list[End]:
    """Return persons by name or id number, as their applications gave them."""
    if not text or is_token(text) or ":" in text:
        return []
    form = canonical(Kind.ID_NUMBER, text)
    if form.value is not None:
        return people.by_token("id_number", keys().token(Kind.ID_NUMBER, form.value), limit)
    name = canonical(Kind.NAME, text)
    if name.value is None or name.tag == "role" or re.search(r"[0-9]", text):
        return []
    return people.by_token("name", keys().token(Kind.NAME, name.value), limit)
