"""What the browser keeps of a canvas, run in a real browser and held against plain Python: groups, undo, the budget."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import explorer

SCRIPT = Path(explorer.__file__).parent / "assets" / "canvas_model.js"
# Runs operations on a new canvas and tells after each what is kept and what is drawn.
RUN = """([facts, steps, only]) => {
  const M = window.canvasModel;
  const model = M.create();
  M.add(model, facts);
  const tell = () => {
    const drawn = M.drawn(model);
    return {now: model.now, drawn: {...drawn, edges: drawn.edges.map((edge) => edge.key),
            left: {nodes: drawn.left.nodes, edges: drawn.left.edges.map((edge) => edge.key)}}};
  };
  const told = [tell()];
  steps.forEach(([name, ...values], number) => {
    M[name](model, ...values);
    if (!only || number === steps.length - 1) told.push(tell());
  });
  return {told, past: model.past.length, limit: M.LIMIT, budget: M.BUDGET};
}"""
LABELS = ("Person", "Phone", "Device")
TYPES = ("USES_PHONE", "LISTS_CONTACT", "CALLED")

Facts = dict[str, list[dict[str, Any]]]
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def run(chromium: Any) -> Iterator[Run]:
    """How a test runs operations: `run(facts, steps)`; with `only` it is told of the beginning and the end."""
    page = chromium.new_page()
    page.add_script_tag(path=str(SCRIPT))
    yield lambda facts, steps=(), only=False: page.evaluate(RUN, [facts, list(steps), only])
    page.close()


def node(key: str, label: str = "Person") -> dict[str, Any]:
    return {"key": key, "label": label, "id": key, "text": key}


def edge(type: str, source: str, target: str, at: int = 100) -> dict[str, Any]:
    return {"key": f"{type} {source} {target}", "type": type, "source": source, "target": target, "first": at,
            "last": at, "count": 1, "facts": []}  # fmt: skip


def star(leaves: int, hub: str = "hub", label: str = "Person", type: str = "LISTS_CONTACT") -> Facts:
    keys = [f"{hub} leaf {n}" for n in range(leaves)]
    return {
        "nodes": [node(hub, "Phone"), *(node(key, label) for key in keys)],
        "edges": [edge(type, key, hub, at) for at, key in enumerate(keys)],
    }


@st.composite
def graphs(draw: Any, most: int = 40) -> Facts:
    """Hubs with many leaves, and edges between any two, so that groups, pairs and loops come up."""
    size = draw(st.integers(1, most))
    nodes = [node(f"n{n}", draw(st.sampled_from(LABELS))) for n in range(size)]
    ends = st.integers(0, size - 1)
    hub = st.one_of(st.just(0), st.just(size // 2), ends)
    links = draw(st.lists(st.tuples(st.sampled_from(TYPES), ends, hub, st.integers(0, 9)), max_size=2 * most))
    edges = {(kind, a, b): edge(kind, f"n{a}", f"n{b}", at) for kind, a, b, at in links}
    return {"nodes": nodes, "edges": list(edges.values())}


def groups_of(facts: Facts, pins: tuple[str, ...] = (), over: int = 12) -> dict[tuple[str, ...], set[str]]:
    """Which leaves of one anchor, label and way of hanging there are more than `over`: by looking at all pairs."""
    label = {item["key"]: item["label"] for item in facts["nodes"]}
    found: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for key in label:
        around = {
            (other, way) for item in facts["edges"] for other, way in (
                ((item["target"], item["type"] + ">"),) if item["source"] == key else ()
            ) + (((item["source"], item["type"] + "<"),) if item["target"] == key and item["source"] != key else ())
        }  # fmt: skip
        anchors = {other for other, _ in around}
        if len(anchors) == 1 and key not in anchors and key not in pins:
            found[(*anchors, label[key], *sorted(way for _, way in around))].add(key)
    return {name: members for name, members in found.items() if len(members) > over}


slow = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@slow
@given(facts=graphs(), pinned=st.sets(st.integers(0, 39), max_size=3))
def test_leaves_are_grouped_as_looking_at_every_pair_would_group_them(run: Run, facts: Facts, pinned: set[int]) -> None:
    pins = tuple(f"n{n}" for n in pinned if n < len(facts["nodes"]))
    drawn = run(facts, [["pin", {key: [0, 0] for key in pins}]])["told"][-1]["drawn"]

    told = {(group["anchor"], group["label"], *group["how"]): set(group["members"]) for group in drawn["groups"]}
    assert told == groups_of(facts, pins)
    inside = set().union(*told.values())
    assert set(drawn["nodes"]) | inside == {item["key"] for item in facts["nodes"]}
    assert not set(drawn["nodes"]) & inside
    kept = {item["key"] for item in facts["edges"] if not {item["source"], item["target"]} & inside}
    assert set(drawn["edges"]) == kept


def test_twelve_alike_stay_apart_and_thirteen_are_one_group_that_opens_and_closes(run: Run) -> None:
    assert not run(star(12))["told"][-1]["drawn"]["groups"]
    (group,) = run(star(13))["told"][-1]["drawn"]["groups"]
    assert (group["anchor"], len(group["members"])) == ("hub", 13)
    _, opened, closed = run(star(13), [["open", group["key"]], ["close", group["key"]]])["told"]
    assert len(opened["drawn"]["nodes"]) == 14
    assert [one["key"] for one in closed["drawn"]["groups"]] == [group["key"]]


_KEYS = st.lists(st.sampled_from([f"n{n}" for n in range(12)]), min_size=1, max_size=4)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("hide"), _KEYS), st.tuples(st.just("only"), _KEYS), st.tuples(st.just("showAll")),
        st.tuples(st.just("pin"), st.dictionaries(st.sampled_from(["n0", "n1", "n2"]), st.just([1, 2]), min_size=1)),
        st.tuples(st.just("unpin"), _KEYS), st.tuples(st.just("label"), st.sampled_from(LABELS)),
        st.tuples(st.just("type"), st.sampled_from(TYPES)),
        st.tuples(st.just("time"), st.one_of(st.none(), st.integers(0, 9)), st.one_of(st.none(), st.integers(0, 9))),
        st.tuples(st.just("since"), st.one_of(st.none(), st.integers(0, 9)), st.booleans()),
        st.tuples(st.just("undo")), st.tuples(st.just("redo")),
    ),
    max_size=30,
)  # fmt: skip


@slow
@given(facts=graphs(12), steps=STEPS)
def test_undo_and_redo_walk_exactly_through_what_was_there(run: Run, facts: Facts, steps: list[Any]) -> None:
    told = run(facts, steps)["told"]

    history, at = [{"nodes": [], "edges": []}, told[0]["now"]], 1  # before the first nodes came there were none
    for (name, *_), after in zip(steps, told[1:], strict=True):
        if name == "undo":
            at = max(0, at - 1)
        elif name == "redo":
            at = min(len(history) - 1, at + 1)
        elif after["now"] != history[at]:
            history[at + 1 :] = [after["now"]]
            at += 1
        if at:
            assert after["now"] == history[at], name
        else:
            assert not after["now"]["nodes"]


def test_sixty_steps_can_be_undone_filters_and_pins_among_them(run: Run) -> None:
    facts = star(8)
    changes = [["hide", ["hub leaf 0"]], ["pin", {"hub": [3, 4]}], ["label", "Person"], ["time", 2, 5], ["showAll"]]
    steps = [change for n in range(11) for change in (*changes, ["pin", {"hub": [n, n]}])][:60]
    told = run(facts, [*steps, *[["undo"]] * 60, *[["redo"]] * 60])["told"]

    done = [state["now"] for state in told[:61]]
    assert done[60] != done[0]
    different = [state for n, state in enumerate(done) if not n or state != done[n - 1]]
    assert told[120]["now"] == done[0] or told[120]["now"]["nodes"] == []
    back = [state["now"] for state in told[60:121]]
    for state in different:
        assert state in back
    assert told[180]["now"] == done[60]


@slow
@given(facts=graphs(), off=st.sampled_from(TYPES), window=st.tuples(st.integers(0, 9), st.integers(0, 9)))
def test_filters_leave_what_they_say_and_take_away_what_hung_only_on_the_rest(
    run: Run, facts: Facts, off: str, window: tuple[int, int]
) -> None:
    start, end = min(window), max(window)
    left = run(facts, [["type", off], ["time", start, end]])["told"][-1]["drawn"]["left"]

    edges = [item for item in facts["edges"] if item["type"] != off and start <= item["last"] <= end]
    assert set(left["edges"]) == {item["key"] for item in edges}
    linked = {key for item in facts["edges"] for key in (item["source"], item["target"])}
    kept = {key for item in edges for key in (item["source"], item["target"])}
    assert set(left["nodes"]) == {item["key"] for item in facts["nodes"] if item["key"] not in linked - kept}


@pytest.mark.parametrize("hubs", [5, 40, 300])
def test_never_more_than_a_thousand_elements_are_drawn_and_nobody_is_lost(run: Run, hubs: int) -> None:
    facts: Facts = {"nodes": [], "edges": []}
    for number in range(hubs):
        one = star(13 if number % 2 else 5, f"hub {number}", "Person", TYPES[number % 3])
        facts = {name: facts[name] + one[name] for name in ("nodes", "edges")}
    facts["edges"] += [edge("CALLED", f"hub {n}", f"hub {(7 * n + 1) % hubs}") for n in range(hubs) if 7 * n + 1 != n]
    opened = [["open", group["key"]] for group in run(facts)["told"][0]["drawn"]["groups"]]
    result = run(facts, opened, only=True)
    drawn = result["told"][-1]["drawn"]

    elements = len(drawn["nodes"]) + len(drawn["edges"]) + sum(1 + len(group["how"]) for group in drawn["groups"])
    assert elements == drawn["elements"] <= result["limit"]
    assert drawn["over"] == (elements > result["budget"])
    everybody = [*drawn["nodes"], *(key for group in drawn["groups"] for key in group["members"])]
    assert sorted(everybody) == sorted(item["key"] for item in facts["nodes"])
    assert drawn["forced"] == (len(facts["nodes"]) + len(facts["edges"]) > result["limit"])


def test_what_is_saved_and_opened_is_the_same_canvas_without_a_step_to_undo(run: Run, chromium: Any) -> None:
    page = chromium.new_page()
    page.add_script_tag(path=str(SCRIPT))
    told = page.evaluate(
        """(facts) => {
          const M = window.canvasModel, model = M.create();
          M.add(model, facts); M.hide(model, ["hub leaf 1"]); M.pin(model, {hub: [5, 6]}); M.type(model, "CALLED");
          const saved = M.saved(model, {hub: [5, 6]});
          const again = M.opened(facts, saved.view);
          return {saved: JSON.parse(JSON.stringify(saved)), before: model.now, after: again.now, undo: M.undo(again)};
        }""",
        star(4),
    )
    page.close()
    assert told["after"] == told["before"]
    assert not told["undo"]
    assert told["saved"]["nodes"][0] == ["Phone", "hub", 5, 6]
    assert told["saved"]["edges"][0] == ["LISTS_CONTACT", "Person", "hub leaf 0", "Phone", "hub"]
    assert "nodes" not in told["saved"]["view"]
