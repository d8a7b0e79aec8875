"""Failed sign-ins are counted in the store, so that all workers and restarts know them; too many mean to wait."""

from __future__ import annotations

import hmac
import time
from typing import Any

from flask import Flask, Response, request
from flask_limiter import Limiter
from flask_security import current_user
from limits.storage import Storage
from sqlalchemy import Column, Float, Integer, String, Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from explorer.settings import ExplorerSettings
from explorer.store import METADATA, ExplorerStore

TRIES = Table(
    "explorer_tries", METADATA,
    Column("key", String, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("until", Float, nullable=False),  # epoch seconds
)  # fmt: skip
_SCHEME = "explorer-store"


class TriesStorage(Storage):
    """What Flask-Limiter counts in (fixed windows), kept in a table of the store."""

    STORAGE_SCHEME = [_SCHEME]  # noqa: RUF012  # the base class declares it so

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **options: Any) -> None:
        super().__init__(uri, wrap_exceptions)
        self._store: ExplorerStore = options["store"]

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """What the database may raise."""
        return SQLAlchemyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count `amount` more under a key and return how many there are until the window ends."""
        now = time.time()
        with self._store.writing() as connection:
            connection.execute(delete(TRIES).where(TRIES.c.until <= now))
            dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
            row = dialect.insert(TRIES).values(key=key, number=amount, until=now + expiry)
            more = row.on_conflict_do_update(index_elements=["key"], set_={"number": TRIES.c.number + amount})
            return int(connection.execute(more.returning(TRIES.c.number)).scalar_one())

    def get(self, key: str) -> int:
        """Return how many are counted under a key."""
        return int(self._row(key)[0])

    def get_expiry(self, key: str) -> float:
        """Return when the window of a key ends, in epoch seconds."""
        return self._row(key)[1]

    def check(self) -> bool:
        """Return whether the store answers."""
        self.get("")
        return True

    def reset(self) -> int | None:
        """Forget all that was counted."""
        with self._store.writing() as connection:
            return int(connection.execute(delete(TRIES)).rowcount)

    def clear(self, key: str) -> None:
        """Forget what was counted under a key."""
        with self._store.writing() as connection:
            connection.execute(delete(TRIES).where(TRIES.c.key == key))

    def _row(self, key: str) -> tuple[int, float]:
        now = time.time()
        with self._store.reading() as connection:
            asked = select(TRIES.c.number, TRIES.c.until).where(TRIES.c.key == key, TRIES.c.until > now)
            found = connection.execute(asked).first()
        return (found.number, found.until) if found else (0, now)


def guard_sign_in(app: Flask, settings: ExplorerSettings, store: ExplorerStore, secret: bytes) -> Limiter:
    """Let a name, and an address, wait after too many wrong passwords; a right one is not counted.

    Flask-Limiter finds `TriesStorage` by its scheme.
    """

    def name() -> str:
        # Keyed: somebody may type a password where the name belongs.
        typed = request.form.get("name", "").strip().lower()
        return hmac.digest(secret, typed.encode(), "sha256").hex()

    def changing() -> str:
        return f"password {current_user.name}"

    def failed(response: Response) -> bool:
        return response.status_code not in (302, 303)

    limiter = Limiter(
        lambda: request.remote_addr or "", app=app, storage_uri=f"{_SCHEME}://", storage_options={"store": store},  # type: ignore[dict-item]
        strategy="fixed-window", headers_enabled=False, key_prefix="sign-in",
    )  # fmt: skip
    window = f"per {settings.lock_minutes} minutes"
    by_name = limiter.limit(f"{settings.tries} {window}", key_func=name, methods=["POST"], deduct_when=failed)
    by_address = limiter.limit(f"{settings.tries_address} {window}", methods=["POST"], deduct_when=failed)
    view: Any = app.view_functions["security.login"]
    app.view_functions["security.login"] = by_address(by_name(view))
    by_user = limiter.limit(f"{settings.tries} {window}", key_func=changing, methods=["POST"], deduct_when=failed)
    change: Any = app.view_functions["password"]
    app.view_functions["password"] = by_user(change)
    return limiter
