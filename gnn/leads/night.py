"""What the link model says of tonight's candidates: of those to ask, and of the borrowers' own new numbers.

Of somebody to ask: whom the old number would come in touch with. First contacts are foretold, so nothing is said of
those with whom the old number had a call. Of an own new number: whom its partners would come in touch with; of
those who did since the silence it is known, of the others the model guesses.

Learned from what was known before the night's moment. PyTorch is imported when there is something to score, and not
before.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import structlog

from algorithms.leads.links import ROWS, LinkAnswer, LinkQuestion
from gnn.leads.around import Around, around
from gnn.leads.circles import Chances, Circle, circles
from gnn.leads.link_model import FEWEST, LinkModel, learn
from gnn.leads.questions import Known
from gnn.night import not_installed

log = structlog.get_logger()

SOURCES = 4_000  # numbers whose next contact is foretold in a night; the most recently lost first
SEED = 0
_AT_ONCE = 500  # sources; their pairs' features are in memory together


def links(asked: LinkQuestion, /) -> LinkAnswer:
    """Return what the link model says of the candidates; no rows, and the reason, where it can say nothing."""
    if lacking := not_installed():
        return _nothing(f"{' and '.join(lacking)} are not installed: run make models")
    try:
        return answer(around(asked), asked.at.timestamp())
    except Exception as error:  # a night has its leads without a model
        log.warning("the link model says nothing", error=type(error).__name__)
        return _nothing(f"failed: {type(error).__name__}")


def answer(near: Around, at: float, *, sources: int = SOURCES, seed: int = SEED) -> LinkAnswer:
    """Return what a model learned from the events strictly before `at` (epoch seconds) says of the candidates.

    Args:
        sources: numbers whose next contact is foretold, at most.
    """
    events = near.events.before(at)
    of = [circle for circle in circles(near, events) if circle.asked]
    if not of:
        return _nothing("nothing to be foretold", near.counts)
    wanted = _wanted(of)
    kept = dict(list(wanted.items())[:sources])
    counts = near.counts | {"sources": len(kept), "sources_left_out": len(wanted) - len(kept)}

    chances: Chances = {}
    if kept:
        model = learn(events, "call", at, seed=seed)
        counts["learned_from"] = model.learned_from
        if model.learned_from < FEWEST:
            return _nothing("too few first contacts to learn from", counts)
        chances = _foretold(model, Known(events, "call", at), kept)
    names = events.names.tolist()
    rows = [(circle.person, names[node], link) for circle in of for node, link in circle.links(chances)]
    return LinkAnswer(pl.DataFrame(rows, ROWS, orient="row"), {"how": "told", **counts, "rows": len(rows)})


def _wanted(of: list[Circle]) -> dict[int, set[int]]:
    """Return whose next contact is to be foretold, and among whom, in the order of the borrowers."""
    wanted: dict[int, set[int]] = {}
    for circle in of:
        for source, among in circle.guesses():
            wanted.setdefault(source, set()).update(among)
    return wanted


def _foretold(model: LinkModel, known: Known, asked: dict[int, set[int]]) -> Chances:
    chances: Chances = {}
    for begin in range(0, len(asked), _AT_ONCE):
        part = sorted(asked)[begin : begin + _AT_ONCE]
        among = [np.array(sorted(asked[node]), np.int64) for node in part]
        told = model.foretold(known, np.array(part, np.int64), among)
        for node, other, log_chance in zip(*(column.tolist() for column in told), strict=True):
            chances.setdefault(node, {})[other] = log_chance
    return chances


def _nothing(why: str, counts: dict[str, int] | None = None) -> LinkAnswer:
    return LinkAnswer(pl.DataFrame(schema=ROWS), {"how": why, **(counts or {})})
