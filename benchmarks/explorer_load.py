"""Fifty analysts at work, for locust: each signs in once and then does one thing every five seconds.

`benchmarks.explorer` runs it in a process of its own. What an analyst does is timed as a whole: opening the list of
rings, for example, is three requests.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from locust import HttpUser, constant_throughput, events, task
from locust.exception import StopUser

from benchmarks.explorer_http import AnswerError, Browser

_GIVEN = json.loads(Path(os.environ["BENCH_EXPLORER"]).read_text())
_USERS: list[list[str]] = list(_GIVEN["users"])
_TRIES, _AGAIN_SECONDS = 10, 3
_DONE: list[dict[str, Any]] = []
_ALL_HERE: list[float] = []


class Analyst(HttpUser):
    """One analyst at a browser; weights are how often they do a thing."""

    host = _GIVEN["url"]
    wait_time = constant_throughput(0.2)

    def on_start(self) -> None:
        self.rng = random.Random(len(_USERS))
        self.browser = Browser(self.client, _GIVEN["url"])
        name, password = _USERS.pop()
        self.at = self.rng.choice(_GIVEN["nodes"])
        for _ in range(_TRIES):
            if self._do("sign_in", lambda: self.browser.sign_in(name, password)):
                return
            time.sleep(_AGAIN_SECONDS)  # what a person would do whom the page asks to try again
        raise StopUser

    @task(5)
    def menu(self) -> None:
        self.at = self.rng.choice(_GIVEN["nodes"])
        self._do("menu", lambda: self._answered("menu", "menu", label=self.at[0], id=self.at[1]))

    @task(4)
    def expand(self) -> None:
        nodes = [{"label": self.at[0], "id": self.at[1]}]
        self._do("expand", lambda: self._answered("expand", "pages", nodes=nodes))

    @task(2)
    def search(self) -> None:
        self._do("search", lambda: self._answered("search", "found", text=self.rng.choice(_GIVEN["texts"])))

    @task(1)
    def ring_list(self) -> None:
        self._do("ring_list", lambda: self.browser.open("/rings"))

    @task(2)
    def ring(self) -> None:
        self._do("ring", lambda: self.browser.open(f"/rings/{self.rng.choice(_GIVEN['rings'])}"))

    @task(1)
    def newest(self) -> None:
        self._do("newest", lambda: self._answered("since", "at", which="night"))

    def _answered(self, kind: str, needed: str, **question: Any) -> None:
        if needed not in self.browser.ask(kind, **question):
            raise AnswerError(f"{kind}: no {needed}")

    def _do(self, name: str, does: Callable[[], Any]) -> bool:
        begun, failed = time.perf_counter(), None
        try:
            does()
        except Exception as error:  # whatever it is, an analyst saw it
            failed = error
        seconds = time.perf_counter() - begun
        said = "" if failed is None else f"{type(failed).__name__}: {failed}"[:300]
        _DONE.append({"name": name, "at": begun, "seconds": seconds, "error": said})
        self.environment.events.request.fire(
            request_type="action", name=name, response_time=seconds * 1e3, response_length=0, exception=failed
        )
        return failed is None


@events.spawning_complete.add_listener
def all_here(**_options: Any) -> None:
    _ALL_HERE.append(time.perf_counter())


@events.quitting.add_listener
def tell(**_options: Any) -> None:
    told = {"all_here_at": _ALL_HERE[0] if _ALL_HERE else None, "done": _DONE}
    Path(_GIVEN["into"]).write_text(json.dumps(told))
