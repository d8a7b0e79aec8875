"""What tells a number that changed by its circle: partners in common, their share, rarity, resource allocation.

In files of real contacts every number is renamed halfway, one at a time. Ranked are the numbers that two or more of its
20 strongest partners met since, its new name among them. Half of the cases lose half of the new contacts.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorithms.leads.candidates import SIGNATURE
from algorithms.leads.contact_events import ContactEvents, read_events
from gnn.leads.rankings import fitted_weights, log_chances

RESULTS = Path(__file__).parent / "results" / "circle_terms.json"
TERMS = ("count", "share", "rarity", "resource")  # in the order of a candidate's row
FORMS = {
    "count and share": ("count", "share"), "with rarity": ("count", "share", "rarity"),
    "with resource": ("count", "share", "resource"), "with both": TERMS,
}  # fmt: skip
_RENAMED = -1
_SPLITS = 10
Floats = NDArray[np.float64]


def case(met: dict[int, dict[int, list[float]]], node: int, cut: float, half_life: float, kept: set[int]) -> Any:
    """Return (candidates, 4) of what the circle of `node` says, the right one first; None where it says too little.

    Args:
        met: times of contact by both ends.
        kept: partners of `node` whose contacts with it after `cut` are there.
    """
    said = {p: sum(2 ** (-(cut - at) / half_life) for at in times if at <= cut) for p, times in met[node].items()}
    top = sorted((p for p in said if said[p] > 0), key=lambda p: (-said[p], p))[:SIGNATURE]
    sums: dict[int, Floats] = defaultdict(lambda: np.zeros(len(TERMS)))
    for partner in top:
        degree, share = max(len(met[partner]), 2), said[partner] / sum(said[p] for p in top)
        for other, times in met[partner].items():
            if (other == node and max(times) > cut and partner in kept) or (other != node and min(times) > cut):
                name = _RENAMED if other == node else other
                sums[name] += [1, share, 1 / np.log(degree), share / degree]
    rows = [row for name, row in sorted(sums.items()) if row[0] >= 2]
    return np.array(rows) if len(rows) > 1 and _RENAMED in sums and sums[_RENAMED][0] >= 2 else None


def measured(events: ContactEvents, part: float, seed: int = 0) -> dict[str, Any]:
    """Return the log loss of the right number by form: fitted on half of the cases, told of the other, mean of ten."""
    rng = np.random.default_rng(seed)
    mask = events.dated & ~events.of_kind("contact")
    src, dst, at = events.src[mask], events.dst[mask], events.at[mask]
    cut = float(np.quantile(at, part))
    met: dict[int, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for a, b, when in zip(src.tolist(), dst.tolist(), at.tolist(), strict=True):
        met[a][b].append(when)
        met[b][a].append(when)
    cases = []
    for node in sorted(met):
        for thinned in (False, True):
            kept = {p for p in met[node] if not thinned or rng.random() < 0.5}
            if (found := case(met, node, cut, (cut - at.min()) / 2, kept)) is not None:
                cases.append(found)
    told: dict[str, Any] = {"cases": len(cases), "candidates": round(float(np.mean([len(c) for c in cases])), 1)}
    halves = [rng.random(len(cases)) < 0.5 for _ in range(_SPLITS)]
    for name, terms in FORMS.items():
        columns = [_values(c)[:, [TERMS.index(t) for t in terms]] for c in cases]
        told[name] = round(float(np.mean([_loss(columns, half) for half in halves])), 3)
    return told


def _values(rows: Floats) -> Floats:
    """Return the terms' values, as `algorithms/rules/leads.yml` writes them."""
    return np.stack([np.log(rows[:, 0]), rows[:, 1], np.log1p(rows[:, 2]), np.log(rows[:, 3] + 1e-6)], axis=1)


def _loss(cases: list[Floats], learn: NDArray[np.bool_]) -> float:
    def stacked(of: list[Floats]) -> tuple[Floats, NDArray[np.bool_], NDArray[np.int64]]:
        starts = np.concatenate([[0], np.cumsum([len(c) for c in of])]).astype(np.int64)
        right = np.zeros(starts[-1], np.bool_)
        right[starts[:-1]] = True  # the renamed number's name is the lowest
        return np.concatenate(of), right, starts

    x, right, starts = stacked([c for c, chosen in zip(cases, learn, strict=True) if chosen])
    spread = x.std(axis=0) + 1e-9
    weights = fitted_weights(x / spread, right, starts, 0.01)
    x, right, starts = stacked([c for c, chosen in zip(cases, learn, strict=True) if not chosen])
    return float(-log_chances(x / spread @ weights, starts)[right].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="The folder with files of contact events")
    given = parser.parse_args()
    told = {
        f"{file.stem}, cut at {part:.0%}": measured(read_events(file), part)
        for file in sorted(given.data.glob("*.csv"))
        for part in (0.4, 0.6)
    }
    RESULTS.write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
