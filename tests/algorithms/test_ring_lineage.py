import random

from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.rings.lineage import Descent, descend

ABC, DEF = frozenset("abc"), frozenset("def")


def test_the_first_night_gives_birth_to_every_ring():
    told, gone = descend({}, [ABC, DEF], "2026-01-01")
    assert [d.status for d in told] == ["born", "born"]
    assert told[0].ring_id != told[1].ring_id
    assert not gone


def test_the_same_rings_keep_their_names_whatever_their_order():
    born, _ = descend({}, [ABC, DEF], "2026-01-01")
    old = {born[0].ring_id: ABC, born[1].ring_id: DEF}
    told, gone = descend(old, [DEF, ABC], "2026-01-02")
    assert told == [Descent(born[1].ring_id, "same"), Descent(born[0].ring_id, "same")]
    assert not gone


def test_a_ring_with_a_new_member_has_grown_and_one_that_lost_a_member_is_the_same():
    told, _ = descend({"ring_1": frozenset("abcd"), "ring_2": DEF}, [frozenset("abc"), frozenset("defg")], "d")
    assert told == [Descent("ring_1", "same"), Descent("ring_2", "grown")]


def test_two_rings_that_become_one_keep_the_name_of_the_larger_and_the_other_dissolves_into_it():
    told, gone = descend({"ring_1": frozenset("abcd"), "ring_2": frozenset("efg")}, [frozenset("abcdefg")], "d")
    assert told == [Descent("ring_1", "merged", ("ring_2",))]
    assert gone == [Descent("ring_2", "dissolved", ("ring_1",))]


def test_a_ring_that_falls_apart_leaves_its_name_to_the_larger_part_and_the_other_names_its_parent():
    told, gone = descend({"ring_1": frozenset("abcdefg")}, [frozenset("abcd"), frozenset("efg")], "d")
    assert told[0] == Descent("ring_1", "same")
    assert (told[1].status, told[1].parents) == ("split", ("ring_1",))
    assert not gone


def test_a_ring_that_is_found_no_more_dissolves_once():
    told, gone = descend({"ring_1": ABC}, [], "d")
    assert not told
    assert gone == [Descent("ring_1", "dissolved")]


def test_strangers_who_share_one_member_are_not_kin():
    told, gone = descend({"ring_1": ABC}, [frozenset("axyz")], "d")
    assert told[0].status == "born"
    assert gone == [Descent("ring_1", "dissolved")]


worlds = st.lists(st.sets(st.integers(0, 60), min_size=3, max_size=9), max_size=8)


def _disjoint(sets):
    seen, kept = set(), []
    for each in sets:
        free = frozenset(f"p{x}" for x in each if f"p{x}" not in seen)
        if len(free) >= 3:
            kept.append(free)
            seen |= free
    return kept


@settings(max_examples=150, deadline=None)
@given(worlds, worlds, st.integers(0, 10))
def test_no_name_is_given_twice_or_lost_and_the_order_of_rings_decides_nothing(before, after, seed):
    old = {f"ring_{i}": members for i, members in enumerate(_disjoint(before))}
    new = _disjoint(after)
    told, gone = descend(old, new, "d")
    names = [d.ring_id for d in told]
    assert len(set(names)) == len(names)
    assert {d.ring_id for d in gone} == set(old) - set(names)
    for descent, members in zip(told, new, strict=True):
        if descent.ring_id in old:  # it kept at least half of the smaller one
            assert len(members & old[descent.ring_id]) * 2 >= min(len(members), len(old[descent.ring_id]))
    shuffled = list(range(len(new)))
    random.Random(seed).shuffle(shuffled)
    again, _ = descend(old, [new[i] for i in shuffled], "d")
    assert [again[shuffled.index(i)] for i in range(len(new))] == told


def test_untouched_rings_keep_their_names_when_others_change():
    draw = random.Random(3)
    old = {f"ring_{i:03}": frozenset(f"p{i}_{k}" for k in range(5)) for i in range(200)}
    touched = set(draw.sample(sorted(old), 6))
    new = [
        m if r not in touched else frozenset([*list(m)[:2], *(f"x{r}{k}" for k in range(3))]) for r, m in old.items()
    ]
    told, _ = descend(old, new, "d")
    assert all(d.ring_id == r and d.status == "same" for d, r in zip(told, old, strict=True) if r not in touched)
