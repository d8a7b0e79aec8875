"""Who calls whom next and who is who after a change of number, on three public files; `DATA` is their folder.

The three files are cut at day 10 of 14 (students) and at 70 % of the time between first and last event. For numbers
that change, some of the file's numbers get a new name from a cutoff on: a random tenth, and a closely knit group.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.leads.contact_events import ContactEvents, read_events
from algorithms.leads.reidentify import reidentify
from benchmarks.machine import description
from gnn.leads.benchmark import race

RESULTS = Path(__file__).parent / "results" / "contact_events.json"
RACES = (
    ("students-14-days", 864_000.0, "message"), ("students-14-days", 864_000.0, "call"),
    ("college-messages", None, "message"), ("dnc-mails", None, "message"),
)  # fmt: skip
CHANGES = (("students-14-days", 0.6), ("college-messages", 0.15))


def at_share(events: ContactEvents, share: float) -> float:
    times = events.at[events.dated]
    return float(times.min() + share * (times.max() - times.min()))


def renamed(events: ContactEvents, cutoff: float, who: np.ndarray) -> ContactEvents:
    """Return the events with a new name, the old after a tilde, for some numbers from the cutoff on."""
    names = np.concatenate([events.names, np.char.add("~", events.names[who])])
    other = np.arange(events.n)
    other[who] = events.n + np.arange(len(who))
    later = events.dated & (events.at >= cutoff)
    src, dst = (np.where(later, other[end], end) for end in (events.src, events.dst))
    place = np.argsort(np.argsort(names))
    moved = replace(events, names=np.sort(names), src=place[src], dst=place[dst])
    return moved.where(np.ones(len(events), np.bool_))


def active(events: ContactEvents, mask: np.ndarray) -> np.ndarray:
    found = np.zeros(events.n, np.bool_)
    found[events.src[mask & events.dated]] = found[events.dst[mask & events.dated]] = True
    return found


def knit_group(events: ContactEvents, cutoff: float, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return numbers that are mostly in touch with each other before the cutoff: grown around one that is busy."""
    early = events.dated & (events.at < cutoff)
    links = np.zeros((events.n, events.n))
    np.add.at(links, (events.src[early], events.dst[early]), 1)
    links = np.log1p(links + links.T) * active(events, events.at >= cutoff)
    strength = links.sum(axis=1)
    usable = active(events, events.at >= cutoff) & (strength > 0)
    group = [int(rng.choice(np.flatnonzero(usable & (strength >= np.quantile(strength[usable], 0.7)))))]
    while len(group) < size:
        close = links[group].sum(axis=0) / np.sqrt(1 + strength)
        close[group] = -1
        group.append(int(close.argmax()))
    return np.array(group)


def judged(events: ContactEvents, cutoff: float, who: np.ndarray, **options: Any) -> dict[str, float]:
    """Return how often the new name of a number active on both sides stands first, and among the first five."""
    both = active(events, events.at < cutoff) & active(events, events.at >= cutoff)
    found = reidentify(renamed(events, cutoff, who), cutoff, top=5, **options)
    rank = {
        str(found.names[o]): int(r)
        for o, n, r in zip(found.old, found.new, found.rank, strict=True)
        if found.names[n] == f"~{found.names[o]}"
    }
    true = [str(name) for name in events.names[who[both[who]]]]
    first = sum(rank.get(name) == 1 for name in true) / len(true)
    return {
        "changed": len(true),
        "hits_at_1": round(first, 4),
        "hits_at_5": round(sum(n in rank for n in true) / len(true), 4),
    }


def changes(events: ContactEvents, share: float) -> dict[str, Any]:
    cutoff, told = at_share(events, share), {}
    for size in ("a tenth", 10, 20, 40):
        rng, rows = np.random.default_rng(1), []
        begun = time.perf_counter()
        for _ in range(3):
            who = (
                rng.choice(events.n, events.n // 10, replace=False)
                if isinstance(size, str)
                else knit_group(events, cutoff, size, rng)
            )
            rows.append((judged(events, cutoff, who), judged(events, cutoff, who, rounds=1)))
        mean = {what: round(float(np.mean([r[0][what] for r in rows])), 4) for what in rows[0][0]}
        one = {
            f"{what}_one_round": round(float(np.mean([r[1][what] for r in rows])), 4)
            for what in ("hits_at_1", "hits_at_5")
        }
        name = f"random, {size}" if isinstance(size, str) else f"group of {size}"
        told[name] = mean | one | {"seconds": round((time.perf_counter() - begun) / 6, 2)}
        print(name, json.dumps(told[name]), flush=True)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=os.environ.get("DATA"), help="folder of the three files")
    folder = parser.parse_args().data
    if folder is None:
        parser.error("name the folder of the files, or set DATA")
    told: dict[str, Any] = {"machine": description(), "reidentify": {}, "benchmark_leads": {}}
    for name, share in CHANGES:
        print(name, flush=True)
        told["reidentify"][name] = {"cutoff_share": share} | changes(read_events(Path(folder) / f"{name}.csv"), share)
    for name, cutoff, target in RACES:
        events = read_events(Path(folder) / f"{name}.csv")
        found = race(events, at_share(events, 0.7) if cutoff is None else cutoff, target)  # type: ignore[arg-type]
        told["benchmark_leads"][f"{name}, {target}"] = found
        print(name, target, json.dumps(found["rankers"][found["selected"]]), flush=True)
    RESULTS.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
