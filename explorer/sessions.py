"""Sessions kept on the server: made anew at every sign-in, ended by sign-out, by rest and by age.

The cookie holds an id, signed; the table holds its digest. A cookie that was copied ends when its session does.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, timedelta

from flask import g, session
from sqlalchemy import delete, insert, select, update

from explorer.accounts import SESSIONS, User
from explorer.store import ExplorerStore

_KEY = "explorer_session"
_TOUCH = timedelta(seconds=20)  # how stale `seen_at` may become before it is written again
_KEPT = timedelta(days=30)  # ended sessions stay so long, for who asks when somebody was here


class Sessions:
    """The sessions of one store; `idle` and `age` are how long one lives without and with use."""

    def __init__(self, store: ExplorerStore, idle: timedelta, age: timedelta) -> None:
        self._store = store
        self.idle = idle
        self.age = age

    def begin(self, user: User) -> None:
        """Begin a session for who just signed in; the one before in this browser ends, its CSRF token too."""
        self.end("signed in again")
        now = datetime.now(UTC)
        id = secrets.token_urlsafe(32)
        with self._store.writing() as connection:
            connection.execute(delete(SESSIONS).where(SESSIONS.c.begun_at < now - _KEPT))
            row = {"digest": _digest(id), "user_id": user.id, "begun_at": now, "seen_at": now}
            connection.execute(insert(SESSIONS).values(**row))
        session.pop("csrf_token", None)
        g.pop("csrf_token", None)
        session[_KEY] = id

    def alive(self, user: User, used: bool = True) -> bool:
        """Return whether this request's session is this user's and has not ended; its use is noted.

        Args:
            used: whether a person asked; what a page asks by itself keeps no session from its rest.
        """
        id = session.get(_KEY)
        if not id:
            return False
        with self._store.reading() as connection:
            found = connection.execute(select(SESSIONS).where(SESSIONS.c.digest == _digest(id))).mappings().first()
        now = datetime.now(UTC)
        if found is None or found["ended_at"] is not None or found["user_id"] != user.id:
            return False
        if now - found["seen_at"] > self.idle or now - found["begun_at"] > self.age:
            self.end("idle" if now - found["seen_at"] > self.idle else "aged")
            return False
        if used and now - found["seen_at"] > min(_TOUCH, self.idle / 4):
            self._write(id, seen_at=now)
        return True

    def end(self, why: str) -> None:
        """End this request's session, if there is one."""
        id = session.pop(_KEY, None)
        if id:
            self._write(id, ended_at=datetime.now(UTC), why=why)

    def _write(self, id: str, **values: object) -> None:
        with self._store.writing() as connection:
            mine = SESSIONS.c.digest == _digest(id)
            connection.execute(update(SESSIONS).where(mine, SESSIONS.c.ended_at.is_(None)).values(**values))


def _digest(id: str) -> str:
    return hashlib.sha256(id.encode()).hexdigest()
