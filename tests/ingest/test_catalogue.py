"""Every kind of broken row lands in the bucket that catalogue.yml says, with its bytes sealed as delivered."""

from __future__ import annotations

import gzip
import re
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from graph.tokens import Keys
from ingest.files import landing_files
from ingest.landing import Part, PartCounts, process
from ingest.mapping import Mapping

DELIVERED = date(2024, 6, 1)
ENTRIES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "catalogue.yml").read_text("utf-8"))["entries"]
# The list of the design, "Rows that arrive broken"; a kind without an entry is a promise nobody keeps.
KINDS = {
    "bad UTF-8", "GBK", "UTF-16", "BOM", "NUL", "bidi marks", "quote in a field", "newline in a field",
    "one column short", "one column extra", "header repeated", "wrong order", "10 MB field", "number as text",
    "1e309", "NaN", "full-width digits", "date 0000-00-00", "29 Feb", "Excel serial", "epoch s", "epoch ms", "future",
    "before 1970", "no zone", "id number with wrong check digit", "id number of 15 digits",
    "id number with lower-case x", "id number of one digit repeated", "phone: short code", "phone: landline",
    "phone: 400", "phone: 95xxx", "phone: +852", "phone: two numbers in a field", "phone: masked",
    "IMEI of 14 digits", "IMEI of 15 digits", "IMEI of 16 digits", "IMEI all zeros", "IMEI TAC only",
    "ICCID with letters", "contact named by a role", "self-contact", "same key, two people", "empty file",
    "only a header", "truncated gz", "wrong extension", "symlink", "same content twice", "applicant under 18",
    "foreign key to nothing", "negative amount", "10¹² amount", "call ending before it starts",
    "10⁵ calls a day from one phone",
}  # fmt: skip


@cache
def keys_at(path: Path) -> Keys:
    return Keys.create(path)


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    keys_at(path)
    return path


def unescaped(text: str, encoding: str) -> bytes:
    return re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes.fromhex(m[1].decode()), text.encode(encoding))


def row_of(entry: dict[str, Any]) -> bytes:
    return unescaped(entry["row"].replace("FILL", "长" * (10 << 20) if entry.get("form") == "fill" else "FILL"),
                     entry.get("encoding", "utf-8"))  # fmt: skip


def deliver(entry: dict[str, Any], folder: Path) -> bytes:
    """Write the entry's file or files; return the bytes that a lender would recognize."""
    folder.mkdir(parents=True)
    form, name = entry.get("form"), entry.get("name", f"{entry['source']}.csv")
    if "file" in entry:
        content = unescaped(entry["file"], entry.get("encoding", "utf-8"))
    elif form in ("many", "truncated_gz"):
        rows = [entry["row"].replace("SECOND", str(n % 86_400)) for n in range(100_000)]
        content = "\n".join([entry["columns"], *rows, ""]).encode()
    else:
        content = entry["columns"].encode() + b"\n" + row_of(entry) + b"\n"
    if form == "truncated_gz":
        packed = gzip.compress(content, mtime=0)
        (folder / f"{name}.gz").write_bytes(packed[: len(packed) // 2])
    elif form == "symlink":
        outside = folder.parents[1] / "outside.csv"
        outside.write_bytes(content)
        (folder / name).symlink_to(outside)
        return str(outside).encode()
    else:
        for copy in ("", "_again") if form == "copies" else ("",):
            (folder / name.replace(".", f"{copy}.", 1)).write_bytes(content)
    return content


def read(landing: Path, staging: Path, key_file: Path) -> list[PartCounts]:
    files = [file for file, _ in landing_files(landing, Mapping(), DELIVERED)]
    return [process(Part(file), Mapping(), staging, key_file, str(landing)) for file in files if file]


def sealed(staging: Path, source: str, keys: Keys) -> list[tuple[dict[str, Any], bytes]]:
    """Return the rows of the staged quarantine with their bytes opened."""
    found = []
    for path in sorted((staging / source / "rejects").glob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            bound = f"quarantine:{row['source_file']}:{row['line']}".encode()
            plain = AESGCM(keys.vault_key).decrypt(row["original"][:12], row["original"][12:], bound)
            found.append((row, plain))
    return found


def typed(staging: Path, source: str) -> list[dict[str, Any]]:
    return [row for path in (staging / source / "rows").glob("*.parquet") for row in pq.read_table(path).to_pylist()]


@pytest.mark.parametrize("entry", ENTRIES, ids=[f"{n}-{e['kind']}" for n, e in enumerate(ENTRIES)])
def test_a_broken_row_lands_where_the_catalogue_says(entry: dict[str, Any], tmp_path: Path, key_file: Path) -> None:
    landing, staging, source = tmp_path / "landing", tmp_path / "staging", entry["source"]
    content = deliver(entry, landing / DELIVERED.isoformat())
    counts = read(landing, staging, key_file)
    if entry.get("untaken"):
        assert counts == []
        return
    reasons = {code: n for one in counts for code, n in one.reasons.items()}
    notes = {code: n for one in counts for code, n in one.notes.items()}
    rows, quarantine = typed(staging, source), sealed(staging, source, keys_at(key_file))
    assert reasons == entry.get("quarantined", {})
    assert notes == entry.get("notes", {})
    assert all(one.read == one.typed + one.quarantined for one in counts)
    assert len(rows) == sum(one.typed for one in counts)
    assert len(quarantine) == sum(reasons.values()) + sum(notes.values())
    if entry.get("form") == "truncated_gz":
        assert 0 < len(rows) < 100_000
        assert content.split(b"\n")[len(rows) + 1].startswith(quarantine[0][1])
        return
    assert len(rows) == entry.get("accepted", 0)
    for told, plain in quarantine:
        assert plain == row_of(entry) if "row" in entry and not entry.get("pieces") else plain in content
        assert told["row_kept"] == bool(notes)
        if told["row_kept"] and told["column"]:
            assert rows[0][told["column"]] is None
    for column, value in entry.get("values", {}).items():
        held = rows[0][column]
        assert (held.isoformat() if isinstance(held, datetime) else held) == value


def test_every_kind_of_the_list_has_an_entry() -> None:
    assert {entry["kind"] for entry in ENTRIES} == KINDS
