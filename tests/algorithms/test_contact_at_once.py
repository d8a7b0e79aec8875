"""Many collectors at once, in threads and in processes: the last lawful call of a day is one collector's."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from subprocess import PIPE, Popen
from threading import Barrier

import pytest

from algorithms.contact.gate import Outcome
from algorithms.contact.queue import Queue, QueueError
from algorithms.contact.store import Store
from tests.algorithms import contact_process
from tests.algorithms.contact_process import works
from tests.algorithms.contact_world import HOUR, NOON, World

MANY = 12


@pytest.fixture
def world(tmp_path: Path) -> World:
    """One debtor with many leads, of whom third persons may be asked too."""
    world = World(tmp_path)
    world.lost("wei")
    world.gave_out("wei")
    for n in range(MANY):
        world.lead("wei", f"number {n}", 1 - n / 100, third=n % 2 == 1)
    return world


def leads(queue: Queue) -> list[str]:
    return [lead.lead_id for lead in queue.offers("first of all", NOON, 99).leads]


def test_of_many_collectors_at_once_exactly_one_gets_the_last_call_of_the_day(world: World, store: Store) -> None:
    world.tried("wei", "third_person", 3 * HOUR)
    world.tried("wei", "third_person", 2 * HOUR)
    world.loaded(store)
    queue = world.queue(store)
    them = leads(queue)
    ready = Barrier(MANY)

    def tries(n: int) -> str:
        ready.wait()
        try:
            queue.open(them[n], f"collector {n}", "case 17", NOON + timedelta(milliseconds=MANY - n))
        except QueueError as refused:
            return type(refused).__name__
        return "opened"

    with ThreadPoolExecutor(MANY) as pool:
        found = list(pool.map(tries, range(MANY)))
    assert found.count("opened") == 1


def test_in_a_day_of_many_collectors_three_calls_are_connected_and_no_more(world: World, store: Store) -> None:
    """Somebody answers every call that is opened; clocks differ by seconds."""
    world.loaded(store)
    them = leads(world.queue(store))
    with ThreadPoolExecutor(8) as pool:
        made = pool.map(
            lambda n: works(world.queue(store), them, f"collector {n}", NOON - timedelta(seconds=n)), range(8)
        )
        assert sum(made) == 3


def test_two_processes_on_one_file_are_no_more_than_two_threads(world: World, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'leads.db'}"
    world.loaded(Store(url))
    them = leads(world.queue(Store(url)))
    command = [sys.executable, "-m", contact_process.__name__, str(world.folder), url]
    pipes = {"stdin": PIPE, "stdout": PIPE, "text": True, "cwd": Path(__file__).parents[2]}
    both = [Popen([*command, who, *them], **pipes) for who in ("zhang", "li")]
    assert [each.stdout.readline() for each in both] == ["ready\n"] * 2
    for each in both:
        each.stdin.write("go\n")
        each.stdin.flush()
    assert sum(int(each.communicate(timeout=60)[0]) for each in both) == 3
    assert len(world.audit.entries()) == 3
    assert world.audit.verify().first_broken_seq is None


def test_an_outcome_told_by_many_at_once_is_news_once(world: World, store: Store) -> None:
    world.loaded(store)
    queue = world.queue(store)
    call = queue.open(leads(queue)[0], "zhang", "case 17", NOON)
    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(lambda _: queue.outcome(call.call_id, Outcome.REFUSED, "zhang", NOON), range(6)))
    assert sum(each.changed for each in told) == 1
