"""Users and their roles: Flask-Security's records, in the tables `explorer_users` and `explorer_roles`."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from flask_security import (
    RoleMixin,
    Security,
    SQLAlchemySessionUserDatastore,
    UserMixin,
    hash_password,
    verify_password,
)
from sqlalchemy import Boolean, Column, ForeignKey, Integer, String, Table, Text, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, scoped_session, sessionmaker

from algorithms.contact.store import Utc
from explorer.rights import Role
from explorer.store import METADATA, ExplorerStore

NAME_LENGTH = 64
PASSWORDS = {  # argon2 salts by itself: no pepper that a lost file would lose; its costs are OWASP's first choice
    "SECURITY_PASSWORD_HASH": "argon2", "SECURITY_PASSWORD_SCHEMES": ["argon2"], "SECURITY_PASSWORD_SINGLE_HASH": True,
    "SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS": {
        "argon2__memory_cost": 47_104, "argon2__rounds": 1, "argon2__parallelism": 1,
    },
    "SECURITY_USER_IDENTITY_ATTRIBUTES": [{"name": {"mapper": str, "case_insensitive": True}}],
}  # fmt: skip
PASSWORD_LENGTH = 12  # at least, of one that a person thinks up


class AccountError(Exception):
    """A user that cannot be made or changed so; the text says why and what to do."""


class LastAdminError(AccountError):
    """Nobody would be left to keep users: the last administrator cannot be locked or lose that role."""


class Base(DeclarativeBase):
    """The declared tables lie among the explorer's other ones."""

    metadata = METADATA


_HELD = Table(
    "explorer_users_roles", METADATA,
    Column("user_id", ForeignKey("explorer_users.id"), primary_key=True),
    Column("role_id", ForeignKey("explorer_roles.id"), primary_key=True),
)  # fmt: skip


class HeldRole(Base, RoleMixin):
    """A role as a row."""

    __tablename__ = "explorer_roles"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)


class User(Base, UserMixin):
    """One user; `active` is false while they are locked. `language` and `theme` are what they chose, if they did."""

    __tablename__ = "explorer_users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    password: Mapped[str] = mapped_column(String(255))
    active: Mapped[bool] = mapped_column(Boolean)
    fs_uniquifier: Mapped[str] = mapped_column(String(64), unique=True)
    language: Mapped[str | None] = mapped_column(String(8))
    theme: Mapped[str | None] = mapped_column(String(8))
    made_at: Mapped[datetime] = mapped_column(Utc)
    roles: Mapped[list[HeldRole]] = relationship(  # type: ignore[assignment]  # the base says list[RoleMixin]
        secondary=_HELD, order_by=HeldRole.name
    )

    @property
    def role_names(self) -> frozenset[str]:
        """The names of their roles."""
        return frozenset(role.name for role in self.roles)

    def verify_and_update_password(self, password: str) -> bool:
        """Return whether it is theirs. Its hash stays as it is until they change it: a sign-in only reads users."""
        return bool(verify_password(password, self.password))


SESSIONS = Table(
    "explorer_sessions", METADATA,
    Column("digest", String(64), primary_key=True),  # of the id in the cookie: who reads the table cannot use it
    Column("user_id", Integer, ForeignKey("explorer_users.id"), nullable=False, index=True),
    Column("begun_at", Utc, nullable=False),
    Column("seen_at", Utc, nullable=False),
    Column("ended_at", Utc),
    Column("why", Text),
)  # fmt: skip


class Accounts:
    """The users of one store."""

    def __init__(self, store: ExplorerStore) -> None:
        self._store = store
        self.session = scoped_session(sessionmaker(store.engine))  # reads; it is a request's and ends with it
        self.records = SQLAlchemySessionUserDatastore(self.session, User, HeldRole)

    def attach(self, app: Flask, **options: Any) -> Security:
        """Let Flask-Security serve sign-in and sessions of the app with these users."""
        app.teardown_appcontext(lambda _error: self.session.remove())
        return Security(app, self.records, **options)

    def find(self, name: str) -> User | None:
        """Return the user of a name, however it is capitalized."""
        return _find(self.session(), name)

    def named(self, name: str) -> User:
        """Return the user of a name.

        Raises:
            AccountError: there is none.
        """
        return _named(self.session(), name)

    def all(self) -> list[User]:
        """Return all users by name."""
        return list(self.session.scalars(select(User).order_by(func.lower(User.name))))

    def last_seen(self) -> dict[int, datetime]:
        """Return when each user signed in last, by their id; sessions are kept for some weeks only."""
        newest = select(SESSIONS.c.user_id, func.max(SESSIONS.c.begun_at)).group_by(SESSIONS.c.user_id)
        with self._store.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(newest)}

    def add(self, name: str, roles: Iterable[str], password: str) -> None:
        """Make a user; runs inside an application context, for the hash.

        Raises:
            AccountError: the name is taken or no name, there is no role, or the password is too short.
        """
        name = name.strip()
        if not name or len(name) > NAME_LENGTH or not name.isprintable():
            raise AccountError(f"A user's name has 1 to {NAME_LENGTH} printable characters.")
        hashed = hash_password(checked(password))
        with self._writing() as session:
            if _find(session, name) is not None:
                raise AccountError("There is a user of that name already. Choose another name, or change that user.")
            held = _held(session, roles)
            session.add(
                User(name=name, password=hashed, active=True, made_at=datetime.now(UTC), roles=held,
                     fs_uniquifier=secrets.token_hex(32))
            )  # fmt: skip

    def set_roles(self, name: str, roles: Iterable[str]) -> None:
        """Give a user these roles and no others; it holds from their next request on.

        Raises:
            AccountError: there is no such user, or no role was given.
            LastAdminError: they are the last administrator and would be none any more.
        """
        with self._writing() as session:
            admins = _admins(session)
            user = _named(session, name)
            user.roles = _held(session, roles)
            _keep_one(admins, user)

    def set_active(self, name: str, active: bool) -> None:
        """Lock a user out, at once and everywhere, or let them in again.

        Raises:
            AccountError: there is no such user.
            LastAdminError: they are the last administrator.
        """
        with self._writing() as session:
            admins = _admins(session)
            user = _named(session, name)
            user.active = active
            _keep_one(admins, user)
            user.fs_uniquifier = secrets.token_hex(32)  # every cookie of theirs ends with it

    def set_password(self, name: str, password: str) -> None:
        """Give a user another password; their sessions end.

        Raises:
            AccountError: there is no such user, or the password is too short.
        """
        hashed = hash_password(checked(password))
        with self._writing() as session:
            user = _named(session, name)
            user.password = hashed
            user.fs_uniquifier = secrets.token_hex(32)

    def choose(self, name: str, *, language: str | None = None, theme: str | None = None) -> None:
        """Keep what a user chose for their screen."""
        with self._writing() as session:
            user = _named(session, name)
            user.language = language or user.language
            user.theme = theme or user.theme

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        with self._store.writing() as connection, Session(connection) as session:
            yield session
            session.flush()
        self.session.rollback()  # whoever reads on in this request reads what was written


def _find(session: Session, name: str) -> User | None:
    return session.scalar(select(User).where(func.lower(User.name) == name.strip().lower()))


def _named(session: Session, name: str) -> User:
    user = _find(session, name)
    if user is None:
        raise AccountError("There is no user of that name. `python -m explorer users list` shows all.")
    return user


def _admins(session: Session) -> list[User]:
    """Return the administrators who may sign in; of two changes at once one waits, and then sees the other's."""
    session.execute(select(User.id).order_by(User.id).with_for_update())
    return list(session.scalars(select(User).join(User.roles).where(HeldRole.name == Role.ADMIN, User.active)))


def _keep_one(admins: list[User], changed: User) -> None:
    stays = [user for user in admins if user.active and Role.ADMIN in user.role_names]
    if changed in admins and not stays:
        raise LastAdminError(
            f"{changed.name} is the last administrator. Give somebody else that role first: "
            "`python -m explorer users role NAME --role admin`."
        )


def _held(session: Session, roles: Iterable[str]) -> list[HeldRole]:
    wanted = sorted(set(roles))
    if not wanted:
        raise AccountError(f"A user needs a role: one of {', '.join(Role)}. To keep a user out, lock them.")
    there = {row.name: row for row in session.scalars(select(HeldRole))}
    return [there.get(role) or HeldRole(name=str(role)) for role in wanted]


def checked(password: str) -> str:
    """Return a password that is long enough.

    Raises:
        AccountError: it is not.
    """
    if len(password) < PASSWORD_LENGTH or not password.strip():
        raise AccountError(f"A password needs {PASSWORD_LENGTH} characters or more.")
    return password


@contextmanager
def users_alone(store: ExplorerStore) -> Iterator[Accounts]:
    """Open the users without the explorer around them, for commands."""
    app = Flask("explorer.users")
    app.config.update(SECRET_KEY="unused: nothing is signed here", **PASSWORDS)
    accounts = Accounts(store)
    accounts.attach(app, register_blueprint=False)
    with app.app_context():
        yield accounts


def invented() -> str:
    """Return a random password of 120 bits."""
    return secrets.token_urlsafe(15)
