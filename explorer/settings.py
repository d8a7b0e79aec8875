"""How the explorer listens, how long a session lasts and how much it does at once, read from the environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ExplorerSettings(BaseSettings):
    """`EXPLORER_HOST`, `_PORT`, `_NAMES`, `_SECURE`, `_IDLE_MINUTES`, `_SESSION_HOURS`, `_THREADS`, `_GRAPH_SECONDS` …

    Users, sessions, scenes and cases lie in the store of the work queue (`CREDIT_GRAPH_STORE`).

    Attributes:
        names: host names under which it is reached, with commas between them; others are refused.
        secure: set behind HTTPS: cookies then travel over it only.
        proxies: how many proxies before it may say whose address a request comes from.
        threads: requests worked on at once by one process; `workers` processes share the port.
        graph_seconds: how long one question to Neo4j may take; a page gives up `answer_seconds` after it was asked.
        tries, tries_address: failed sign-ins of one name and of one address before both wait for `lock_minutes`.
    """

    model_config = SettingsConfigDict(env_prefix="EXPLORER_")
    host: str = "127.0.0.1"
    port: int = 8050
    names: str = "127.0.0.1,localhost"
    secure: bool = False
    proxies: int = Field(default=0, ge=0, le=3)
    idle_minutes: float = Field(default=30, gt=0)
    session_hours: float = Field(default=12, gt=0)
    tries: int = Field(default=5, ge=1)
    tries_address: int = Field(default=50, ge=1)
    lock_minutes: int = Field(default=15, ge=1)
    threads: int = Field(default=16, ge=2)
    workers: int = Field(default=1, ge=1)
    graph_seconds: float = Field(default=2.2, gt=0)
    answer_seconds: float = Field(default=2.6, gt=0)
    secret: Path | None = None

    def secret_path(self, keys: Path) -> Path:
        """Return where the key of the cookies lies: the file set, or `explorer.secret` beside the token keys."""
        return self.secret or keys.absolute().parent / "explorer.secret"

    def host_names(self) -> frozenset[str]:
        """Return the names under which it is reached, in lower case."""
        return frozenset(name.strip().lower() for name in self.names.split(",") if name.strip())
