"""What the registry of models keeps on disk, for whoever reads it: its ledger, who is champion, and cards.

`gnn.champion.registry` writes it, and says what lies where. Nothing here needs what trains or scores models.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graph.audit import GENESIS, Chain

CARD = "card.json"
POINTER = "champion.json"
LEDGER = "ledger.jsonl"


def walk(folder: Path) -> tuple[list[dict[str, Any]], Chain]:
    """Return the lines of the ledger up to the first broken one, and what the chain says.

    What follows the last line break was never written whole, so never promised to anybody: it is left out. Lines cut
    from the end are noticed back to the last promotion, which the pointer remembers.
    """
    remembered = pointer(folder)  # before the ledger: a promotion between the two readings only makes that longer
    path = folder / LEDGER
    texts = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    lines: list[dict[str, Any]] = []
    head, broken = GENESIS, None
    for number, text in enumerate(texts, 1):
        try:
            line = dict(json.loads(text))
        except (ValueError, TypeError):
            line = {}
        if line.get("seq") != number or line.get("previous_hash") != head or line.get("hash") != line_hash(line):
            broken = number
            break
        lines.append(line)
        head = line["hash"]
    seen = remembered.get("line", 0)
    if broken is None and seen and (seen > len(lines) or lines[seen - 1]["hash"] != remembered.get("hash")):
        broken = min(seen, len(lines) + 1)
    return lines, Chain(len(lines), head, broken)


def pointer(folder: Path) -> dict[str, Any]:
    """Return what the pointer says of the champion; nothing where it cannot be read: the ledger has it."""
    try:
        return dict(json.loads((folder / POINTER).read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}


def moves(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the lines that put a model in the champion's place."""
    return [line for line in lines if line["what"] in ("promoted", "rolled_back")]


def standing(lines: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the champion's version, or None: nobody was promoted."""
    found = moves(lines)
    return str(found[-1]["version"]) if found else None


def line_hash(line: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the canonical JSON of all but `hash`, as `graph.audit` has it."""
    rest = {name: value for name, value in line.items() if name != "hash"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def card_text(folder: Path, version: str, lines: Sequence[Mapping[str, Any]]) -> bytes | None:
    """Return a registered model's card; None where it is missing or not the one that was registered.

    Raises:
        LookupError: no model of that version was registered.
    """
    line = next((line for line in lines if line["what"] == "registered" and line["version"] == version), None)
    if line is None:
        raise LookupError(version)
    try:
        text = (folder / version / CARD).read_bytes()
    except OSError:
        return None
    return text if hashlib.sha256(text).hexdigest() == line["card"] else None
