"""Candidate groups: who might belong together, from several views of one snapshot.

A view is one way of belonging together. A star's persons share one node; a large star is also cut where nobody
applied for a while; ties, cards in handsets and address books make groups of their own. A group is only a question:
`algorithms.rings.scoring` answers it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from algorithms.communities import local
from algorithms.communities.measures import core_numbers
from algorithms.rings.conduct import is_marked
from algorithms.rings.linking import LINK_PERSONS, mutual_links, pairs, same_human, strong_links, weighted_links
from algorithms.rings.snapshot import Tables
from algorithms.weights import Parameters

MIN_PERSONS = 3
WHOLE_STAR = 400  # persons; beyond it only parts of a star are asked about
STAR_VIEWS = (
    "device", "sim", "own_phone", "bank_card", "address", "employer", "employer_phone", "network", "channel",
    "handset_batch", "agent",
)  # fmt: skip
GAP_HOURS = (1, 24, 24 * 14)  # a pause that ends a burst, by the pace of the typologies: hours, days, months
_BANDS, _ROWS = 16, 4  # of MinHash: books that overlap by 0.8 meet in a band with probability 0.9998, by 0.5 with 0.64
CLONE = 0.6  # estimated overlap of address books from which two are copies (0.8 less three standard errors)
CIRCLE_MAX = 200
_NO_NODE = ("handset_batch",)  # a star around what is a value in the graph, not a node
_NOBODY = pl.Schema({"view": pl.String, "node": pl.String, "part": pl.String, "person": pl.UInt32})


def binder(view: str, node: str) -> str | None:
    """Return the graph's node that binds a group, None where many things do."""
    star = view.removeprefix("marked_")
    return node if (star in STAR_VIEWS and star not in _NO_NODE) or view == "carried" else None


@dataclass
class Groups:
    """`table`: group (key), view, node, persons; `members`: group, person (index), each pair once."""

    table: pl.DataFrame
    members: pl.DataFrame


def _collect(parts: list[pl.DataFrame]) -> Groups:
    """Number the groups of parts (view, node, part, person); equal sets in one view are one group."""
    rows = pl.concat([pl.DataFrame(schema=_NOBODY), *(p.select(*_NOBODY).cast(_NOBODY) for p in parts)])
    rows = rows.unique().sort("view", "node", "part", "person")
    named = rows.group_by("view", "node", "part", maintain_order=True).agg(
        pl.col("person"), persons=pl.len(), same=pl.col("person").hash(7).sum()
    )
    named = named.filter(pl.col("persons") >= MIN_PERSONS)
    named = named.unique(["view", "node", "same", "persons"], keep="first", maintain_order=True)
    named = named.with_row_index("group")
    return Groups(
        named.select("group", "view", "node", "persons"),
        named.select("group", "person").explode("person"),
    )


def star_groups(stars: pl.DataFrame, applied: pl.DataFrame) -> list[pl.DataFrame]:
    """Return the persons of each star (view, node, part, person), whole and cut at pauses in applying.

    Args:
        stars: view, node, person; unique.
        applied: person, applied_at.
    """
    sized = stars.with_columns(n=pl.len().over("view", "node")).filter(pl.col("n") >= MIN_PERSONS)
    whole = sized.filter(pl.col("n") <= WHOLE_STAR).with_columns(part=pl.lit("whole"))
    dated = sized.join(applied, on="person").filter(pl.col("applied_at").is_not_null())
    dated = dated.sort("view", "node", "applied_at", "person")
    gap = pl.col("applied_at").diff().over("view", "node").dt.total_seconds() / 3600
    parts = [whole]
    for hours in GAP_HOURS:
        run = dated.with_columns(run=(gap > hours).fill_null(True).cum_sum().over("view", "node"))
        run = run.with_columns(size=pl.len().over("view", "node", "run"))
        run = run.filter(
            (pl.col("size") >= MIN_PERSONS) & (pl.col("size") < pl.col("n")) & (pl.col("size") <= WHOLE_STAR)
        )
        parts.append(run.with_columns(part=pl.format("{}h-{}", pl.lit(hours), "run")))
    return [p.select("view", "node", "part", "person") for p in parts]


def marked_groups(stars: pl.DataFrame, marked: pl.DataFrame) -> pl.DataFrame:
    """Return the persons of wide stars (channel, employer, network, address) who bear a mark, as groups of their own.

    Args:
        marked: person: those who stopped paying or are confirmed fraud.
    """
    wide = stars.filter(pl.col("view").is_in(["channel", "employer", "network", "address"]))
    found = wide.join(marked, on="person", how="semi")
    return found.with_columns(view="marked_" + pl.col("view"), part=pl.lit("marked")).select(
        "view", "node", "part", "person"
    )


def _component_groups(view: str, a: NDArray[np.uint32], b: NDArray[np.uint32], people: int) -> pl.DataFrame:
    labels = local.components(a, b, people)
    inside = np.unique(np.concatenate([a, b]))
    rows = pl.DataFrame({"person": inside, "label": labels[inside]})
    rows = rows.with_columns(n=pl.len().over("label")).filter(pl.col("n").is_between(MIN_PERSONS, CIRCLE_MAX))
    return rows.select(view=pl.lit(view), node=pl.format("{}", "label"), part=pl.lit("whole"), person="person")


def handset_groups(stars: pl.DataFrame, people: int) -> pl.DataFrame:
    """Return the groups that hang together by cards and handsets alone, each shared by a dozen persons at most."""
    linked = pairs(stars.filter(pl.col("view").is_in(["device", "sim"])), 12)
    return _component_groups("handset_card", linked["a"].to_numpy(), linked["b"].to_numpy(), people)


def cycle_groups(ties: pl.DataFrame, people: int) -> pl.DataFrame:
    """Return the persons who vouch for each other in a circle: strongly connected by emergency contacts or guarantees.

    Two who name each other are a couple, not a circle.
    """
    vouch = ties.filter(pl.col("kind").is_in(["emergency", "guarantee"])).select("src", "dst").unique()
    if not len(vouch):
        return pl.DataFrame(schema=_NOBODY)
    graph = coo_array(
        (np.ones(len(vouch), np.int8), (vouch["src"].to_numpy(), vouch["dst"].to_numpy())), (people, people)
    )
    _, labels = connected_components(graph.tocsr(), directed=True, connection="strong")
    inside = np.unique(vouch.to_numpy())
    rows = pl.DataFrame({"person": inside.astype(np.uint32), "label": labels[inside]})
    rows = rows.with_columns(n=pl.len().over("label")).filter(pl.col("n").is_between(MIN_PERSONS, CIRCLE_MAX))
    return rows.select(view=pl.lit("cycle"), node=pl.format("{}", "label"), part=pl.lit("whole"), person="person")


def clone_groups(books: pl.DataFrame, people: int) -> pl.DataFrame:
    """Return the groups whose address books are near copies: MinHash bands propose, the whole signature decides."""
    if not len(books):
        return pl.DataFrame(schema=_NOBODY)
    signature = np.array(books["minhash"].to_list(), dtype=np.int64)
    person = books["person"].to_numpy()
    found: list[NDArray[np.int64]] = []
    for band in range(_BANDS):
        rows = pl.DataFrame(signature[:, band * _ROWS : (band + 1) * _ROWS]).with_row_index("i")
        rows = rows.with_columns(n=pl.len().over(rows.columns[1:])).filter(pl.col("n").is_between(2, WHOLE_STAR))
        # A chain through the bucket proposes n - 1 pairs in place of n²; all bands together reach every copy.
        chain = (
            rows.sort(*rows.columns[1:5], "i")
            .with_columns(j=pl.col("i").shift(-1).over(rows.columns[1:5]))
            .drop_nulls("j")
        )
        found.append(chain.select("i", "j").to_numpy().astype(np.int64))
    proposed = np.unique(np.concatenate(found), axis=0)
    if not len(proposed):
        return pl.DataFrame(schema=_NOBODY)
    alike = (signature[proposed[:, 0]] == signature[proposed[:, 1]]).mean(axis=1) >= CLONE
    kept = proposed[alike]
    return _component_groups("book", person[kept[:, 0]], person[kept[:, 1]], people)


LEAST_CORE = 3  # links inside a dense group that each of its persons has
CHAIN_STEP = 3  # persons at one node: who hides keeps below what others look at


def chain_groups(stars: pl.DataFrame, ties: pl.DataFrame, people: int) -> pl.DataFrame:
    """Return the groups that hang together in small steps: pairs on one handset or card who are neither kin nor one
    human, and who share with another such pair a number that few know and that one of them calls kin."""
    shared = pairs(stars.filter(pl.col("view").is_in(["device", "sim"])), CHAIN_STEP).select("a", "b").unique()
    kin = ties.filter(pl.col("kind").is_in(["kin", "emergency"])).select(
        a=pl.min_horizontal("src", "dst"), b=pl.max_horizontal("src", "dst")
    )
    for harmless in (kin, same_human(stars, ties)):
        shared = shared.join(harmless.cast({"a": pl.UInt32, "b": pl.UInt32}), on=["a", "b"], how="anti")
    inside = pl.concat([shared.select(person="a"), shared.select(person="b")]).unique()
    listed = stars.filter(pl.col("view") == "contact").with_columns(
        n=pl.len().over("node"), kin=pl.col("listed").any().over("node")
    )
    near = listed.filter(pl.col("kin") & (pl.col("n") <= CHAIN_STEP)).join(inside, on="person", how="semi")
    every = pl.concat([shared, pairs(near, CHAIN_STEP).select("a", "b")], how="vertical_relaxed").unique()
    return _component_groups("chain", every["a"].to_numpy(), every["b"].to_numpy(), people)


def reapplied_groups(stars: pl.DataFrame, ties: pl.DataFrame, defaulted: pl.DataFrame, people: int) -> pl.DataFrame:
    """Return the groups who applied again under other customer numbers after a default, and know each other.

    Args:
        defaulted: person: those who stopped paying or are confirmed fraud.
    """
    twins = pairs(stars.filter(pl.col("view").is_in(["identity", "own_phone", "bank_card"])), LINK_PERSONS).select(
        "a", "b"
    )
    same = ties.filter(pl.col("kind") == "same_person").select(a="src", b="dst")
    twins = pl.concat([twins, same], how="vertical_relaxed").unique()
    broke = defaulted["person"].implode()
    twins = twins.filter(pl.col("a").is_in(broke) | pl.col("b").is_in(broke))
    again = pl.concat([twins.select(person="a"), twins.select(person="b")]).unique()
    known = ties.join(again, left_on="src", right_on="person", how="semi").join(
        again, left_on="dst", right_on="person", how="semi"
    )
    every = pl.concat([twins, known.select(a="src", b="dst")], how="vertical_relaxed").unique()
    return _component_groups("reapplied", every["a"].to_numpy(), every["b"].to_numpy(), people)


def dense_groups(links: pl.DataFrame, people: int) -> pl.DataFrame:
    """Return the groups left when everybody with fewer than k links is peeled away, for each k (Seidman 1983)."""
    graph = local.graph(links["a"].to_numpy(), links["b"].to_numpy(), None, people)
    core = core_numbers(graph)
    a, b = links["a"].to_numpy(), links["b"].to_numpy()
    parts = [pl.DataFrame(schema=_NOBODY)]
    for k in range(LEAST_CORE, int(core.max(initial=0)) + 1):
        kept = (core[a] >= k) & (core[b] >= k)
        parts.append(_component_groups("dense", a[kept], b[kept], people).with_columns(part=pl.lit(f"core-{k}")))
    return pl.concat([p.cast(_NOBODY) for p in parts])


def circle_groups(
    stars: pl.DataFrame,
    ties: pl.DataFrame,
    channels: pl.DataFrame,
    people: int,
    parameters: Parameters,
    at: datetime,
    initial: NDArray[np.uint32] | None,
) -> tuple[list[pl.DataFrame], NDArray[np.uint32]]:
    """Return circles (components of strong links), societies (communities of strong and mutual links), dense groups of
    the same links, carried groups (who moves money within a sales channel), and each person's society."""
    strong = strong_links(stars, ties)
    circles = _component_groups("circle", strong["a"].to_numpy(), strong["b"].to_numpy(), people)
    chosen = pl.concat([strong, mutual_links(ties)], how="vertical_relaxed").unique()
    links = weighted_links(stars, ties, chosen, parameters, at)
    dense = dense_groups(links, people)
    labels = local.communities(
        links["a"].to_numpy(), links["b"].to_numpy(), links["weight"].to_numpy(), people, initial=initial
    )
    inside = np.unique(links.select("a", "b").to_numpy()).astype(np.uint32)
    society = pl.DataFrame({"person": inside, "label": labels[inside]}).with_columns(n=pl.len().over("label"))
    society = society.filter(pl.col("n").is_between(MIN_PERSONS, CIRCLE_MAX))
    first = pl.col("person").min().over("label")  # a name that does not depend on how communities are numbered
    societies = society.select(
        view=pl.lit("society"), node=pl.format("{}", first), part=pl.lit("whole"), person="person"
    )
    channel = channels.select("person", "node")
    money = ties.filter(pl.col("kind").is_in(["transfer", "guarantee"])).select(a="src", b="dst")
    inner = money.join(channel, left_on="a", right_on="person").join(
        channel.rename({"node": "other"}), left_on="b", right_on="person"
    ).filter(pl.col("node") == pl.col("other"))  # fmt: skip
    both = pl.concat([inner.select("node", person="a"), inner.select("node", person="b")]).unique()
    carried = both.select(view=pl.lit("carried"), node="node", part=pl.lit("whole"), person="person")
    return [circles, societies, dense, carried], labels


def candidate_groups(
    stars: pl.DataFrame,
    ties: pl.DataFrame,
    books: pl.DataFrame,
    people: pl.DataFrame,
    hubs: pl.DataFrame,
    parameters: Parameters,
    at: datetime,
    initial: NDArray[np.uint32] | None = None,
) -> tuple[Groups, NDArray[np.uint32]]:
    """Return every candidate group of the snapshot, and each person's society.

    Args:
        stars: view, node, person (index into `people`); ties: src, dst, kind; books: person, minhash.
        people: from `conduct.persons`, with `person`.
        hubs: node: these join nobody; the persons beside one are still asked about as its star.
        parameters: of the links' weights, whose age counts to `at`.
        initial: yesterday's society of each person, to start from.
    """
    count = len(people)
    applied = people.select("person", "applied_at")
    marked = people.filter(is_marked())
    broke = people.filter(pl.col("missed_payment").fill_null(False) | pl.col("fraud_confirmed").fill_null(False))
    star = stars.filter(pl.col("view").is_in(STAR_VIEWS))
    joining = stars.join(hubs.select("node"), on="node", how="anti")
    circles, societies = circle_groups(
        joining, ties, stars.filter(pl.col("view") == "channel"), count, parameters, at, initial
    )
    parts = [
        *star_groups(star, applied), marked_groups(star, marked.select("person")), handset_groups(joining, count),
        cycle_groups(ties, count), clone_groups(books, count), reapplied_groups(joining, ties, broke, count),
        chain_groups(joining, ties, count), *circles,
    ]  # fmt: skip
    return _collect(parts), societies


def indexed(tables: Tables, people: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return stars, ties and books with `person` (row of `people`) in place of ids; who never applied is left out."""
    key = people.select("person_id", "person")
    stars = tables.read("stars").join(key, on="person_id").drop("person_id")
    ties = tables.read("ties")
    ties = ties.join(key.rename({"person_id": "src", "person": "a"}), on="src").join(
        key.rename({"person_id": "dst", "person": "b"}), on="dst"
    )
    ties = ties.drop("src", "dst").rename({"a": "src", "b": "dst"})
    books = tables.read("books").join(key, on="person_id").drop("person_id")
    return stars, ties, books
