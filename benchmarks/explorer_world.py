"""A graph of ten million edges for the explorer's figures, written as import files: one phone has a million callers.

Who calls whom follows a power law, so that there are nodes of every size; the members of a ring share a handset, and
its evidence points into the graph, as that of a night does. Beside it lie those tables of a lake that the canvas asks.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from deltalake import write_deltalake
from numpy.typing import NDArray

from graph.bulk import edge_columns, node_columns
from graph.identifiers import canonical
from graph.lake import Lake
from graph.schema import EDGE_BY_TABLE, NODE_BY_LABEL, EdgeType, NodeType
from graph.tokens import Keys, Kind

NIGHT = "2026-06-30"
BEGIN, END = 1_735_689_600, 1_782_777_600  # 2025-01-01 and 2026-06-30, epoch seconds
_SIZES = {"person": 300_000, "application": 300_000, "phone": 1_000_000, "device": 250_000, "ring": 200}
_MEMBERS = 10
HUB = 0  # the phone with a million callers
_PREFIX = {"person": "per_", "application": "", "phone": "tel_", "device": "dev_", "ring": "ring_"}
_TOKENS = ("phone", "device", "ring")
_LABELS = {"person": "Person", "application": "Application", "phone": "Phone", "device": "Device"}
_SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超霞平刚桂英华玉兰建国春梅海燕志红文小雪云飞龙辉"
    "鹏斌波宇浩凯健俊帆雷林峰晨欣怡佳琪思雨子轩梓涵"
)

Ints = NDArray[np.int64]


def node_id(table: str, n: int) -> str:
    """Return the id of a table's n-th node."""
    return str(_ids(table, np.array([n]))[0])


def _ids(table: str, n: Ints) -> pl.Series:
    if table not in _TOKENS:
        return _PREFIX[table] + pl.Series(n).cast(pl.String)
    mixed = n.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return _PREFIX[table] + pl.Series(mixed).cast(pl.String).str.zfill(32)


def _keys(table: str, n: Ints) -> Ints:
    return n + (list(_SIZES).index(table) << 40)


def sizes(scale: float) -> dict[str, int]:
    """Return how many nodes each table has."""
    return {table: max(int(n * scale), 30 * _MEMBERS if table != "ring" else 3) for table, n in _SIZES.items()}


def full_name(n: int) -> str:
    """Return the name that the n-th applicant gave; some share one."""
    return _SURNAMES[n % 20] + _GIVEN[n // 20 % len(_GIVEN)] + _GIVEN[n // 20 // len(_GIVEN) % len(_GIVEN)]


def draw_nodes(scale: float, each: int, seed: int) -> list[tuple[str, str]]:
    """Return labels and ids of nodes to ask for, mixed: `each` of every kind, and as many phones that are called a lot.

    The last are drawn by the power law of the calls: the more callers, the likelier.
    """
    rng, size = np.random.default_rng(seed), sizes(scale)
    drawn = [(table, int(n)) for table in _LABELS for n in rng.integers(0, size[table], each)]
    drawn += [("phone", int(n)) for n in _popular(rng, each, size["phone"])]
    rng.shuffle(drawn)
    return [(_LABELS[str(table)], node_id(str(table), int(n))) for table, n in drawn]


def _write(folder: Path, kind: str, table: NodeType | EdgeType, rows: dict[str, Any]) -> int:
    columns = edge_columns(table) if isinstance(table, EdgeType) else node_columns(table)
    names = [f"{position}{column}" if column.startswith(":") else column.split(":")[0]
             for position, column in enumerate(columns)]  # fmt: skip
    keys = [name for name in names if ":" in name]
    given = dict(zip(keys, rows.pop("keys"), strict=True)) | rows
    count = len(next(iter(given.values())))
    frame = pl.DataFrame({name: given.get(name, pl.repeat(None, count, dtype=pl.String, eager=True)) for name in names})
    (folder / kind / table.table).mkdir(parents=True)
    frame.write_csv(folder / kind / table.table / "part-0", include_header=False, null_value="")
    return count


def write_world(folder: Path, scale: float = 1.0, seed: int = 0) -> dict[str, int]:
    """Write the import files of `graph.bulk` and return the rows of each table; `scale` shrinks all of it."""
    rng = np.random.default_rng(seed)
    size = sizes(scale)
    counts: dict[str, int] = {}

    def seen(count: int) -> dict[str, Ints]:
        first = rng.integers(BEGIN, END, count)
        return {"first_seen_at": first, "last_seen_at": np.minimum(first + rng.integers(0, 10**7, count), END)}

    for label in ("Person", "Application", "Phone", "Device"):
        table = NODE_BY_LABEL[label]
        n = np.arange(size[table.table])
        told = {"keys": [_keys(table.table, n)], "id": _ids(table.table, n)} | seen(len(n))
        if label == "Application":
            told |= {
                "applied_at": told["first_seen_at"],
                "amount_cny": rng.integers(1_000, 50_000, len(n)).astype(float),
            }
        counts[table.table] = _write(folder, "nodes", table, told)

    def edges(table: str, src: Ints, dst: Ints, **values: Any) -> None:
        edge = EDGE_BY_TABLE[table]
        pairs = np.unique(np.stack([src, dst], axis=1), axis=0)
        src, dst = pairs[:, 0], pairs[:, 1]
        ends = [_keys(NODE_BY_LABEL[edge.src].table, src), _keys(NODE_BY_LABEL[edge.dst].table, dst)]
        told = {name: make(len(src)) for name, make in values.items()}
        events = {"event_count": rng.integers(1, 20, len(src))}
        counts[table] = _write(folder, "edges", edge, {"keys": ends} | seen(len(src)) | events | told)

    persons, phones = np.arange(size["person"]), size["phone"]
    edges("person_submitted", persons, persons % size["application"])
    edges("uses_phone", persons, persons % phones + (persons % phones == HUB))
    members = persons[: size["ring"] * _MEMBERS]
    edges("uses_device", np.concatenate([persons, persons[: len(persons) // 5], members]),
          np.concatenate([rng.integers(0, size["device"], len(persons) + len(persons) // 5), members // _MEMBERS])
          )  # fmt: skip
    listed = rng.integers(0, size["person"], int(3_000_000 * scale))
    edges("lists_contact", listed, _popular(rng, len(listed), phones),
          relation=lambda n: pl.Series(np.array(["friend", "parent", "address_book"])[rng.integers(0, 3, n)].tolist()),
          emergency=lambda n: pl.Series(rng.random(n) < 0.1))  # fmt: skip
    many = int(5_000_000 * scale)
    callers = np.concatenate([rng.integers(1, phones, many), np.arange(1, phones)])
    called = np.concatenate([_popular(rng, many, phones), np.full(phones - 1, HUB)])
    other = callers != called
    edges("called", callers[other], called[other], duration_s=lambda n: rng.integers(0, 3_600, n),
          missed_count=lambda n: rng.integers(0, 4, n))  # fmt: skip
    _rings(folder, size, counts)
    return counts


def _popular(rng: np.random.Generator, count: int, phones: int) -> Ints:
    """Draw phones by a power law; the hub is not among them."""
    return 1 + np.minimum((phones - 1) * rng.random(count) ** 4, phones - 2).astype(np.int64)


def _rings(folder: Path, size: dict[str, int], counts: dict[str, int]) -> None:
    n = np.arange(size["ring"])
    score = 0.5 + 0.5 * (n % 50) / 50
    members = np.arange(len(n) * _MEMBERS)
    evidence = []
    for ring in n.tolist():
        nodes = [node_id("person", ring * _MEMBERS + k) for k in range(_MEMBERS)]
        shared = node_id("device", ring)
        steps = [{"relationship": "USES_DEVICE", "src": node, "dst": shared} for node in nodes]
        told = f"{_MEMBERS} persons applied from one handset within 9 days."
        evidence.append(json.dumps([{"text": told, "nodes": [shared, *nodes], "relationships": steps}]))
    day = np.full(len(n), END)
    born = day - 86_400 * (n % 90)
    counts["ring"] = _write(folder, "nodes", NODE_BY_LABEL["Ring"], {
        "keys": [_keys("ring", n)], "id": _ids("ring", n), "first_seen_at": born, "last_seen_at": day,
        "status": pl.Series(["same", "grown", "born"] * len(n)).head(len(n)), "score": score,
        "size": np.full(len(n), _MEMBERS),
        "typology": pl.Series(["shared_device", "contact_circle"] * len(n)).head(len(n)),
        "exposure_cny": 10_000.0 * (1 + n % 30), "as_of_date": day, "born_on": born,
        "evidence": pl.Series(evidence), "parent_ids": pl.Series(["[]"] * len(n)),
    })  # fmt: skip
    ends = [_keys("person", members), _keys("ring", members // _MEMBERS)]
    counts["member_of"] = _write(folder, "edges", EDGE_BY_TABLE["member_of"], {
        "keys": ends, "first_seen_at": np.full(len(members), END - 10**6), "last_seen_at": np.full(len(members), END),
        "event_count": np.ones(len(members), np.int64),
        "role": pl.Series(["core", *["member"] * (_MEMBERS - 1)] * len(n)), "score": np.full(len(members), 0.8),
        "evidence": pl.Series(["[]"] * len(members)),
    })  # fmt: skip


def write_lake(lake: Lake, keys: Keys, scale: float) -> None:
    """Write what the canvas reads of a lake: who applied under which name, who is who, hubs, nights."""
    n = np.arange(sizes(scale)["person"])
    applicant, none = pl.Series(n).cast(pl.String), pl.repeat(None, len(n), dtype=pl.Date, eager=True)
    names = [full_name(k) for k in range(min(len(n), 20 * len(_GIVEN) ** 2))]
    tokens = pl.Series(keys.tokens(Kind.NAME, [canonical(Kind.NAME, name).value or "" for name in names]))
    numbers = "idn_" + (n.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)).astype(str).astype(object)
    applications = {"application_id": applicant, "applicant_id": applicant, "name": tokens.gather(n % len(names)),
                    "id_number": pl.Series(numbers.tolist()), "ended_on": none}  # fmt: skip
    night = dt.date.fromisoformat(NIGHT)
    hub = {"id": [node_id("phone", HUB)], "kind": ["hotline"], "reason": ["Called by 1,000,000 numbers."],
           "as_of_date": [night]}  # fmt: skip
    people = {"applicant_id": applicant, "person_id": _ids("person", n), "ended_on": none}
    nights = {"night": [night - dt.timedelta(days=1), night]}
    tables = {lake.raw("applications"): applications, lake.graph("applicant_person"): people,
              lake.results("hubs"): hub, lake.results("night_report"): nights}  # fmt: skip
    for path, rows in tables.items():
        write_deltalake(path, pl.DataFrame(rows).to_arrow())
