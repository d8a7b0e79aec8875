"""Who is who after a change of number: numbers that fell silent at a cutoff, and those first seen after it.

A person keeps a circle and habits when the number changes. Both are compared through what is known already: numbers
active on both sides are themselves, and whom one round finds surely lets the next compare the circles anew, so that a
group whose numbers all change on one day is unrolled from its few outward links to its middle.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.console import Console
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from algorithms.leads.contact_events import ContactEvents, ContactEventsError, read_events
from algorithms.leads.contact_graph import Floats, Ints
from algorithms.leads.identity_features import NAMES, Pairs, Side, alike, side

ROUNDS = 8
HIDDEN = (0.0, 0.5, 0.8)  # shares of known identities held back, to learn from circles that are half known
SURE = 0.02  # a match less sure than this tells nothing to the next round
_MOST = 60  # candidates of a number
_LEARNED_FROM = 300  # numbers active on both sides, to learn from what one person looks like before and after
_FEWEST = 40
# Where too few numbers are active on both sides to learn from: by hand, in the order of NAMES, then the constant.
_BY_HAND = np.array([4.0, 2.0, 3.0, 2.0, 1.0, 1.0, 1.0, 3.0, 0.3, 0.5, 0.5, 0.1, 0.5, 0.2])
_CONSTANT = -9.0


@dataclass(frozen=True)
class Identities:
    """Likely identities: places in `names`; for each number fallen silent its candidates, best first.

    Attributes:
        names: the ids of all numbers of the file.
        old: int64 (R,), ascending; so many rows for each as it has candidates, at most `top`.
        new: int64 (R,).
        rank: int64 (R,), from 1.
        score: float64 (R,), in [0, 1]: the chance that the two are one, at most 1 in sum over an old number, and over
            a new one; it is low where nothing is similar.
        silent: numbers that fell silent, those without a candidate among them.
        rounds: rounds until nothing changed.
    """

    names: NDArray[np.str_]
    old: Ints
    new: Ints
    rank: Ints
    score: Floats
    silent: int
    rounds: int

    def table(self) -> pl.DataFrame:
        """Return old, new, rank, score (rounded to six places)."""
        return pl.DataFrame(
            {"old": self.names[self.old], "new": self.names[self.new], "rank": self.rank, "score": self.score.round(6)},
            schema={"old": pl.String, "new": pl.String, "rank": pl.Int64, "score": pl.Float64},
        )


def reidentify(events: ContactEvents, cutoff: float, *, top: int = 5, rounds: int = ROUNDS) -> Identities:
    """Return for each number active before the cutoff and silent since, whom of the numbers first seen since it is.

    Active is who has a dated event; new is who stands in no event before, not even an undated one. What one person
    looks like before and after is learned from the numbers active on both sides (a logistic regression on likenesses,
    no number taken for another), so nothing is tuned to a file from outside.

    Args:
        cutoff: epoch seconds; an event at the cutoff is after it.
        top: candidates listed of a number.
        rounds: at most so many.

    Raises:
        ContactEventsError: the cutoff lies outside the dated events, or a bound is below 1.
    """
    if top < 1 or rounds < 1:
        raise ContactEventsError(f"--top and rounds must be 1 or more; {min(top, rounds)} was given.")
    events.check_cutoff(cutoff)
    earlier, later = events.at < cutoff, events.dated & (events.at >= cutoff)
    seen = _named(events, earlier)
    active, since = _named(events, earlier & events.dated), _named(events, later)
    old, new, both = (np.flatnonzero(m) for m in (active & ~since, since & ~seen, active & since))
    here = np.flatnonzero(seen & since)  # those only listed before, too, are themselves
    first, last = events.at[events.dated].min(), events.at.max()
    half_life = max((cutoff - first) / 2, 1.0)
    before = side(events, earlier, cutoff, half_life, cutoff - first)
    after = side(events, later, cutoff, half_life, max(last - cutoff, 1.0))
    itself = sparse.csr_matrix((np.ones(len(here)), (here, here)), shape=(events.n, events.n))
    weights, constant = _learned(before, after, itself, both)
    same, done = itself, 0
    found = Pairs(old[:0], new[:0], np.empty((0, len(NAMES))))
    score: Floats = np.empty(0)
    while done < rounds:
        done += 1
        found = alike(before, after, same, old, new, _MOST)
        fresh = assigned(found.before, found.after, np.exp(np.clip(found.alike @ weights + constant, -30, 12)))
        sure = fresh >= SURE
        told = sparse.csr_matrix((fresh[sure], (found.before[sure], found.after[sure])), shape=same.shape)
        moved = abs(itself + told - same).sum()
        same, score = (itself + told).tocsr(), fresh
        if moved < 0.05:
            break
    order = np.lexsort((found.after, -score, found.before))
    o, n, s = found.before[order], found.after[order], score[order]
    begin = np.searchsorted(o, o)
    rank = np.arange(len(o)) - begin + 1
    kept = rank <= top
    return Identities(events.names, o[kept], n[kept], rank[kept], s[kept], len(old), done)


def _named(events: ContactEvents, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    named = np.zeros(events.n, np.bool_)
    named[events.src[mask]] = named[events.dst[mask]] = True
    return named


def _learned(before: Side, after: Side, same: Any, both: Ints) -> tuple[Floats, float]:
    """Return weights (F,) and constant by which likenesses tell one person, learned from numbers active on both sides.

    Those drawn are spread evenly over `both`.
    """
    if len(both) < _FEWEST:
        return _BY_HAND, _CONSTANT
    drawn = both[np.unique(np.linspace(0, len(both) - 1, min(len(both), _LEARNED_FROM)).astype(np.int64))]
    parts = []
    rng = np.random.default_rng(0)
    for hidden in HIDDEN:
        shown = sparse.diags((rng.random(same.shape[0]) >= hidden).astype(float)) @ same
        parts.append(alike(before, after, shown.tocsr(), drawn, drawn, _MOST))
    x = np.concatenate([p.alike for p in parts])
    one = np.concatenate([p.before == p.after for p in parts])
    if one.sum() < _FEWEST:
        return _BY_HAND, _CONSTANT
    spread = np.maximum(x.std(axis=0), 1e-3)
    fit = LogisticRegression(C=1.0, max_iter=1000).fit(x / spread, one)
    return np.asarray(fit.coef_[0] / spread), float(fit.intercept_[0])


def assigned(rows: Ints, columns: Ints, odds: Floats, turns: int = 50) -> Floats:
    """Return the chance of each pair when a row has at most one column and a column at most one row, (P,).

    Source: Sinkhorn and Knopp 1967, with a slack in every row and column: odds are against being with nobody.
    """
    if not len(rows):
        return odds
    r, c = np.ones(rows.max() + 1), np.ones(columns.max() + 1)
    for _ in range(turns):
        r = 1 / (1 + np.bincount(rows, odds * c[columns], minlength=len(r)))
        c = 1 / (1 + np.bincount(columns, odds * r[rows], minlength=len(c)))
    return np.asarray(np.clip(odds * r[rows] * c[columns], 0, 1))


def run(file: Path, cutoff: float, top: int, out: Path | None, console: Console) -> None:
    """Print or write `old,new,rank,score`.

    Raises:
        ContactEventsError: the file, the cutoff, `top` or the place to write to cannot be used.
    """
    if out is not None and (out.suffix != ".csv" or not out.absolute().parent.is_dir()):
        raise ContactEventsError(f"--out must be a .csv in a folder that exists; {out} was given.")
    found = reidentify(read_events(file), cutoff, top=top)
    table = found.table()
    if out is None:
        print(table.write_csv(), end="")
        return
    table.write_csv(out)
    best = table.filter(pl.col("rank") == 1)
    console.print(
        f"{found.silent:,} numbers fell silent; {best.height:,} have candidates, "
        f"{best.filter(pl.col('score') >= 0.5).height:,} of them a likely one (0.5 or more), after {found.rounds} "
        f"rounds: {out}"
    )
