"""Why a number is a lead, in sentences that point to nodes and relationships of the day. Pure: a row in, text out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from algorithms.leads.candidates import KIN

Row = Mapping[str, Any]
Item = dict[str, Any]
_IDENTITY = {
    "id_number": "Somebody with the borrower's id number applied with this number on {on}.",
    "match": "Another system says that whoever applied with this number on {on} is the borrower.",
    "bank_card": "Somebody with the borrower's bank card applied with this number on {on}.",
    "name_and_birth_date": "Somebody of the borrower's name and birth date applied with this number on {on}.",
}
_NAMED = {
    "spouse": "the spouse's", "parent": "a parent's", "child": "a child's", "sibling": "a sibling's",
    "relative": "a relative's", "colleague": "a colleague's", "friend": "a friend's", "other": "another contact's",
}  # fmt: skip


def route(row: Row) -> str:
    """Return the lead's route: the borrower's own number, family or a friend named for emergencies, or anybody else."""
    if row["own"]:
        return "own_new_number"
    named = row["relation"] in KIN or (row["emergency"] and row["relation"] == "friend")
    return "known_contact" if named else "intermediary"


def related(row: Row) -> bool:
    """Return whether a third person is family or was named by the borrower."""
    return bool(row["emergency"]) or row["relation"] not in (None, "address_book")


def sources(row: Row) -> list[str]:
    """Return where the number is known from; the gate asks whether that is enough."""
    found = {
        "application": row["identity"] is not None,
        "handset": row["handset_at"] is not None,
        "others_address_books": row["via_books"] is not None,
        "emergency_contact": row["emergency"],
        "named_contact": row["relation"] not in (None, "address_book"),
        "address_book": row["listed"] and row["relation"] == "address_book",
        "calls": row["via_circle"] is not None or row["answered"] > 0,
    }
    return sorted(name for name, holds in found.items() if holds)


def via(row: Row) -> list[str]:
    """Return the nodes the lead goes over, from the borrower to the number."""
    nodes: list[str] = [row["person_id"]]
    for road in ("via_identity", "via_handset", "via_books", "via_circle") if row["own"] else ():
        nodes += row[road] or []
    if not row["own"]:
        nodes += [number for number in (row["called_by"] or row["called_to"],) if number and not row["listed"]]
    # A number known from a call alone is no node of the graph.
    return list(dict.fromkeys([*nodes, *([] if row["identity"] == "answered" else [row["phone"]])]))


def evidence(row: Row) -> list[Item]:
    """Return {text, nodes, relationships} of a lead, the strongest first. No text holds a number, a name or a debt."""
    return [*(_own(row) if row["own"] else _contact(row)), *_common(row)]


def _own(row: Row) -> list[Item]:
    person, phone, items = row["person_id"], row["phone"], []
    if row["identity"] == "answered":
        text = f"The borrower answered on this number on {_on(row['identity_at'])}; nobody has tried it since."
        items.append(_item(text, [person], []))
    elif row["identity"] == "own_record":
        text = f"The number has stood under the borrower's own name since {_on(row['identity_at'])}."
        items.append(_item(text, [person, phone], [("USES_PHONE", person, phone)]))
    elif row["identity"] is not None:
        other, *application = row["via_identity"]
        links = [("USES_PHONE", other, phone), *(("SUBMITTED", other, a) for a in application)]
        text = _IDENTITY[row["identity"]].format(on=_on(row["identity_at"]))
        items.append(_item(text, [person, other, *application, phone], links))
    if row["handset_at"] is not None:
        device, sim = row["via_handset"]
        others = row["handset_persons"] - 1
        beside = "" if not others else f", which {others} other {'person uses' if others == 1 else 'people use'} too,"
        text = f"This number's card has been in the borrower's handset{beside} since {_on(row['handset_at'])}."
        links = [("USES_DEVICE", person, device), ("HOLDS_SIM", device, sim), ("HOLDS_SIM", phone, sim)]
        items.append(_item(text, [person, device, sim, phone], links))
    if row["book_count"]:
        n = int(row["book_count"])
        who = "1 person who knows the borrower has" if n == 1 else f"{n} people who know the borrower have"
        text = f"{who} since noted this number under the name that stood beside the old one."
        items.append(_item(text, [*row["via_books"], phone], [("LISTS_CONTACT", o, phone) for o in row["via_books"]]))
    elif row["beside_count"]:
        text = "An address book holds this number beside the old one, under one name."
        items.append(_item(text, [*row["via_books"], phone], [("LISTS_CONTACT", o, phone) for o in row["via_books"]]))
    if row["circle_count"]:
        text = (
            f"{int(row['circle_count'])} of those with whom the old number talked talk with this number since, "
            f"{row['circle_dice']:.0%} of its calls before."
        )
        ways = zip(row["via_circle"], row["circle_out"], strict=True)
        links = [("CALLED", p, phone) if out else ("CALLED", phone, p) for p, out in ways]
        items.append(_item(text, [*row["via_circle"], phone], links))
    return items


def _contact(row: Row) -> list[Item]:
    person, phone, items = row["person_id"], row["phone"], []
    listed = [("LISTS_CONTACT", person, phone)]
    if row["listed"]:
        if row["relation"] in _NAMED:
            text = f"The borrower named it as {_NAMED[row['relation']]} number"
            text += ", for emergencies." if row["emergency"] else "."
        else:
            text = "It stands in the borrower's address book" + (", for emergencies." if row["emergency"] else ".")
        items.append(_item(text, [person, phone], listed))
    if row["calls"]:
        text = (
            f"{_count(row['answered'], 'answered call')} with the borrower before the silence, the last on "
            f"{_on(row['last_at'])}: {row['share']:.0%} of all talk."
        )
        links = [("CALLED", row["called_by"], phone)] if row["called_by"] else []
        links += [("CALLED", phone, row["called_to"])] if row["called_to"] else []
        items.append(_item(text, [n for n in (row["called_by"], row["called_to"]) if n] + [phone], links))
    if row["touch_count"]:
        items.append(_item(f"{_count(row['touch_count'], 'answered call')} with the old number since.", [phone], []))
    if row["new_touch_count"]:
        text = f"{_count(row['new_touch_count'], 'call')} since with what may be the borrower's new number."
        items.append(_item(text, [phone], []))
    if row["mutual"]:
        items.append(_item("Its owner lists the borrower too.", [phone], []))
    return items


def _common(row: Row) -> list[Item]:
    items: list[Item] = []
    phone = [] if row["identity"] == "answered" else [row["phone"]]
    if row["failed_tries"]:
        items.append(_item(f"{_count(row['failed_tries'], 'call')} to it failed before.", phone, []))
    if row["invalid"]:
        items.append(_item("It was invalid when last called.", phone, []))
    if row["passed_on"]:
        items.append(_item("Its carrier says that it changed hands since.", phone, []))
    if not row["alive"]:
        items.append(_item("No call of it is known of the last 30 days.", phone, []))
    return items


def _item(text: str, nodes: list[str], links: list[tuple[str, str, str]]) -> Item:
    told = [dict(zip(("relationship", "src", "dst"), link, strict=True)) for link in dict.fromkeys(links)]
    return {"text": text, "nodes": list(dict.fromkeys(nodes)), "relationships": told}


def _count(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def _on(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"
