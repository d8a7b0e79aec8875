"""The way to Neo4j for a server that must outlive it: found anew when lost, never waited for beyond a limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as LateError
from threading import Lock
from typing import Any, cast

from flask import g, has_request_context
from neo4j import Driver, GraphDatabase
from neo4j.exceptions import AuthError, DriverError, Neo4jError

from graph.answers import GraphError
from graph.java import ServerError
from graph.reader import GraphReader
from graph.server import LocalServer
from graph.settings import Neo4jSettings


class GraphDownError(GraphError):
    """Neo4j does not answer, or refuses us."""


class GraphSlowError(GraphError):
    """Neo4j did not answer within the time that a page has."""


class GraphDoor:
    """Neo4j by its settings. Nothing is connected before the first question.

    A question runs in a thread of its own, so that a server that accepts and never answers costs a page its time limit
    and no more.

    Attributes:
        reconnected: called once new connections are made in place of broken ones; it must not wait.
    """

    def __init__(self, settings: Neo4jSettings, question_seconds: float, answer_seconds: float, threads: int) -> None:
        self._settings = settings
        self._answer_seconds = answer_seconds
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="neo4j")
        self._threads = threads
        self._made: Driver | None = None
        self._making = Lock()
        self._broken = False
        self.reconnected: Callable[[], None] = lambda: None
        self.reader = GraphReader(cast(Driver, self), timeout_s=question_seconds)

    def execute_query(self, query: Any, parameters: Any = None, **options: Any) -> Any:
        """Ask as a driver does, within what is left of the request's time.

        Raises:
            GraphDownError: there is no server, or it refuses us.
            GraphSlowError: it did not answer in time.
        """
        future = self._pool.submit(self._ask, query, parameters, options)
        try:
            return future.result(timeout=max(0.05, self._left()))
        except LateError:
            future.cancel()
            raise GraphSlowError(
                f"Neo4j did not answer within {self._answer_seconds:g} s. Ask for less, or see "
                "`python -m graph server status`."
            ) from None
        except Neo4jError as error:
            if "Database" in (error.code or "").rsplit(".", 1)[-1]:  # starting, stopping, or switched to a new night
                raise _down(type(error).__name__) from None
            raise

    def ping(self) -> None:
        """Return once the server answers.

        Raises:
            GraphDownError: there is no server, or it refuses us.
            GraphSlowError: it did not answer in time.
        """
        try:
            self.execute_query("RETURN 1")
        except Neo4jError as error:
            raise _down(type(error).__name__) from None

    def close(self) -> None:
        """End the connections."""
        self._forget(self._made)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _left(self) -> float:
        if not has_request_context():
            return self._answer_seconds
        until: float = g.setdefault("answer_by", time.monotonic() + self._answer_seconds)
        return until - time.monotonic()

    def _ask(self, query: Any, parameters: Any, options: dict[str, Any]) -> Any:
        """Ask; once more on new connections where the old ones broke, as they do when a night is switched in."""
        for last in (False, True):
            driver = self._driver()
            try:
                answer = driver.execute_query(query, parameters, **options)
            except AuthError:
                self._forget(driver)
                raise _down("AuthError") from None
            except DriverError as error:
                self._forget(driver)
                if last:
                    raise _down(type(error).__name__) from None
            else:
                self._answered()
                return answer
        raise AssertionError("unreachable")

    def _answered(self) -> None:
        with self._making:
            again, self._broken = self._broken, False
        if again:
            self.reconnected()

    def _driver(self) -> Driver:
        with self._making:
            if self._made is None:
                self._made = self._connect()
            return self._made

    def _connect(self) -> Driver:
        bounds: dict[str, Any] = {
            "connection_timeout": 2, "connection_acquisition_timeout": self._answer_seconds,
            "max_transaction_retry_time": 0, "max_connection_pool_size": self._threads,
            "notifications_min_severity": "OFF", "keep_alive": True,
        }  # fmt: skip
        if self._settings.uri is not None:
            secret = self._settings.password
            auth = (self._settings.username, secret.get_secret_value()) if secret else None
            return GraphDatabase.driver(self._settings.uri, auth=auth, **bounds)
        local = LocalServer(self._settings, self._settings.home)
        try:
            return GraphDatabase.driver(local.uri, auth=("neo4j", local.password()), **bounds)
        except ServerError:
            raise _down("no local server was started") from None

    def _forget(self, driver: Driver | None) -> None:
        with self._making:
            if self._made is driver:
                self._made = None
                self._broken = driver is not None
        if driver is not None:
            driver.close()


def _down(cause: str) -> GraphDownError:
    return GraphDownError(
        f"Neo4j does not answer ({cause}). Start it with `make server-start`, or see `python -m graph server status`."
    )
