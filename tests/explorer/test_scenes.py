"""Scenes in a real SQLite store: versions stay, a conflict keeps both, ids tell nothing."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import pytest

from explorer.scenes import Saved, Scenes, digest
from explorer.store import ExplorerStore


@pytest.fixture
def scenes(tmp_path: Path) -> Scenes:
    store = ExplorerStore(f"sqlite:///{tmp_path / 'store.db'}")
    store.make()
    return Scenes(store)


def test_each_save_is_a_version_of_its_own_and_the_older_ones_can_still_be_read(scenes: Scenes) -> None:
    first = scenes.save("ann", "Handset", {"nodes": [1]})
    second = scenes.save("ann", "Handset, more", {"nodes": [1, 2]}, scene_id=first.scene_id, base=1)

    assert second == Saved(first.scene_id, 2, copied=False)
    newest, old = scenes.read(first.scene_id), scenes.read(first.scene_id, 1)
    assert newest
    assert old
    assert (newest.version, newest.content, newest.name) == (2, {"nodes": [1, 2]}, "Handset, more")
    assert (old.version, old.newest, old.content) == (1, 2, {"nodes": [1]})
    assert old.digest == digest({"nodes": [1]}) != newest.digest


def test_two_tabs_that_save_from_one_version_are_both_kept(scenes: Scenes) -> None:
    made = scenes.save("ann", "Handset", {"tab": "none"})
    one = scenes.save("ann", "Handset", {"tab": "one"}, scene_id=made.scene_id, base=1)
    two = scenes.save("ann", "Handset", {"tab": "two"}, scene_id=made.scene_id, base=1)

    assert not one.copied
    assert two.copied
    assert two.scene_id != made.scene_id
    kept, beside = scenes.read(made.scene_id), scenes.read(two.scene_id)
    assert kept
    assert beside
    assert (kept.content, beside.content) == ({"tab": "one"}, {"tab": "two"})
    assert beside.copy_of == made.scene_id


def test_what_somebody_else_saves_from_a_scene_is_theirs_and_leaves_it_alone(scenes: Scenes) -> None:
    made = scenes.save("ann", "Handset", {"by": "ann"})
    bens = scenes.save("ben", "Handset", {"by": "ben"}, scene_id=made.scene_id, base=1)

    assert bens.copied
    anns, his = scenes.read(made.scene_id), scenes.read(bens.scene_id)
    assert anns
    assert his
    assert (anns.owners, anns.content, his.owners) == (("ann",), {"by": "ann"}, ("ben",))
    assert [scene.scene_id for scene in scenes.of("ben")] == [bens.scene_id]


def test_many_at_once_lose_nothing(scenes: Scenes) -> None:
    made = scenes.save("ann", "Handset", {"n": -1})
    saved: list[Saved] = []
    threads = [
        Thread(target=lambda n=n: saved.append(scenes.save("ann", "x", {"n": n}, scene_id=made.scene_id, base=1)))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(not one.copied for one in saved) == 1
    found = [scenes.read(one.scene_id, one.version) for one in saved]
    assert sorted(scene.content["n"] for scene in found if scene) == list(range(8))


def test_an_unknown_id_opens_nothing_and_ids_cannot_be_counted_up(scenes: Scenes) -> None:
    ids = {scenes.save("ann", "x", {}).scene_id for _ in range(20)}
    assert len(ids) == 20
    assert all(len(id) == 16 for id in ids)
    assert scenes.read("' OR 1=1 --") is None
