"""The link model: learned from first meetings in a graph's own past, its parts weighed on windows held back.

Nothing at or after the time it is learned at is read: each window asks what was known at its beginning about first
meetings before its end, and the last ends at that time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from algorithms.leads.contact_events import ContactEvents, Kind
from algorithms.leads.contact_graph import Floats, Ints
from gnn.leads.pair_features import Pairs, pairs_of
from gnn.leads.questions import Known, Question, question
from gnn.leads.rankings import Trees, WeightedSum, fitted_weights, log_chances, together

BLEND = "link_model"
WINDOWS = (0.4, 0.55, 0.7, 0.85)  # where each begins between the first dated event and the time of learning
CANDIDATES = 400  # of a source, to be ranked by the parts; the rest stand below by personalized PageRank
_SOURCES, _OTHERS = 300, 150  # of a window, and candidates not gained of each, to learn from
FEWEST = 20  # sources that gained, without which nothing is learned
_STANDING = ("personalized_pagerank",)  # popularity is known to the parts and to nobody where there are none
_UNLEARNED = {"personalized_pagerank": 1.0, "popularity": 0.5}

Scorer = Callable[[Pairs], Floats]


def _graphsage(told: list[Pairs], columns: list[str], seed: int) -> Scorer:
    from gnn.leads.encoder import GraphSage

    return GraphSage(told, columns, seed)


PARTS: dict[str, Callable[[list[Pairs], list[str], int], Scorer]] = {
    "weighted_sum": WeightedSum, "trees": Trees, "graphsage": _graphsage,
}  # fmt: skip


@dataclass(frozen=True)
class LinkModel:
    """What was learned: parts by name, and the weight of each in the blend; without parts it is the rankers' order.

    Attributes:
        parts: what scores pairs, by name.
        weights: of parts, and of the rankers that stand beside them, by name.
        learned_from: sources that gained in the windows.
    """

    parts: dict[str, Scorer]
    weights: dict[str, float]
    learned_from: int

    def scores(self, pairs: Pairs) -> dict[str, Floats]:
        """Return scores (P,) of pairs by part, and of the blend under `link_model`; comparable within a source."""
        found = {name: log_chances(part(pairs), pairs.starts) for name, part in self.parts.items()}
        told = found | _rankers(pairs)
        blend = np.sum([w * told[name] for name, w in self.weights.items()], axis=0)
        return found | {BLEND: np.asarray(blend, np.float64)}

    def ranked(self, known: Known, sources: Ints) -> tuple[Pairs, dict[str, Floats]]:
        """Return the candidates of different sources and their scores.

        Args:
            sources: int64 (S,), ascending, no node twice; `known.n` asks for a source not seen before.
        """
        pairs = pairs_of(known, sources, most=CANDIDATES)
        return pairs, self.scores(pairs)

    def foretold(self, known: Known, sources: Ints, among: list[Ints]) -> tuple[Ints, Ints, Floats]:
        """Return (source, candidate, ln of the chance to be the source's next contact among those asked about).

        Args:
            sources: int64 (S,), ascending, no node twice.
            among: for each source, nodes; those that it has met are left out.
        """
        pairs = pairs_of(known, sources, most=CANDIDATES, only=among)
        if not len(pairs.source):
            return pairs.source, pairs.candidate, np.empty(0)
        return pairs.source, pairs.candidate, log_chances(self.scores(pairs)[BLEND], pairs.starts)


def learn(events: ContactEvents, target: Kind, at: float, *, seed: int = 0) -> LinkModel:
    """Return the model learned from what was known strictly before `at` (epoch seconds); equal seeds, equal models.

    The weights are fitted where parts trained on earlier windows foretell later ones, the last two; then the parts
    are trained anew on all. With one window that holds enough only the rankers are weighed; with none nothing is.
    """
    past = events.before(at)
    rng = np.random.default_rng(seed)
    begin = float(past.at[past.dated].min()) if past.dated.any() else at
    edges = [begin + f * (at - begin) for f in (*WINDOWS, 1.0)]
    asked = [_sampled(question(past, target, since, until), rng) for since, until in pairwise(edges) if since < until]
    told = [pairs for pairs in asked if pairs is not None]
    count = sum(len(pairs.starts) - 1 for pairs in told)
    if count < FEWEST:
        return LinkModel({}, _UNLEARNED, count)
    columns = sorted({name for pairs in told for name in pairs.columns})
    held = [({} if i == 0 else _trained(told[:i], columns, seed)) for i in _held_back(len(told))]
    chances = [
        {name: log_chances(part(pairs), pairs.starts) for name, part in parts.items()}
        | {name: said for name, said in _rankers(pairs).items() if name in _STANDING or not parts}
        for parts, pairs in zip(held, told[-len(held) :], strict=True)
    ]
    names = list(chances[0])
    x = np.stack([np.concatenate([c[name] for c in chances]) for name in names], axis=1)
    _, gained, starts = together(told[-len(held) :], [])
    weights = fitted_weights(x, gained, starts, 0.1, near=1 / len(names), least=0.0)
    parts = _trained(told, columns, seed) if len(told) > 1 else {}
    return LinkModel(parts, dict(zip(names, weights.tolist(), strict=True)), count)


def _held_back(windows: int) -> range:
    return range(max(windows - 2, min(1, windows - 1)), windows)


def _sampled(asked: Question, rng: np.random.Generator) -> Pairs | None:
    if not len(asked.sources):
        return None
    drawn = np.sort(rng.choice(len(asked.sources), min(_SOURCES, len(asked.sources)), replace=False))
    gained = [asked.gained[i] for i in drawn]
    pairs = pairs_of(asked.known, asked.sources[drawn], most=CANDIDATES, gained=gained, others=_OTHERS, rng=rng)
    return pairs if len(pairs.source) else None


def _trained(told: list[Pairs], columns: list[str], seed: int) -> dict[str, Scorer]:
    return {name: part(told, columns, seed) for name, part in PARTS.items()}


def _rankers(pairs: Pairs) -> dict[str, Floats]:
    """What stands beside the parts in the blend: rankers that need nothing learned, as ln of chances."""
    walked = np.log(pairs.columns["personalized_pagerank"].astype(np.float64) + 1e-6)
    popular = np.log(pairs.columns["popularity"].astype(np.float64) + 1e-3)
    return {
        "personalized_pagerank": log_chances(walked, pairs.starts), "popularity": log_chances(popular, pairs.starts),
    }  # fmt: skip
