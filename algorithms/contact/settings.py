"""Where the work queue lives and which policies are in force, read from the environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from algorithms.contact.policy import Policy, PolicyError, read_policy


class QueueSettings(BaseSettings):
    """`CREDIT_GRAPH_STORE` (an SQLAlchemy URL), `_POLICIES` (names with commas between them), `_ZONE` (IANA name).

    `zone` is where debtors and those who know them are taken to be, and whose days and nights count.
    """

    model_config = SettingsConfigDict(env_prefix="CREDIT_GRAPH_")
    store: SecretStr | None = None  # a URL may hold a password
    policies: str = "cn"
    zone: str = "Asia/Shanghai"

    def url(self, lake: Path) -> str:
        """Return the URL of the store: the one set, or that of a SQLite file beside the lake's folder."""
        if self.store is not None and self.store.get_secret_value().strip():
            return self.store.get_secret_value().strip()
        folder = lake.absolute()
        return f"sqlite:///{folder.with_name(f'{folder.name}.leads.db')}"

    def in_force(self) -> tuple[Policy, ...]:
        """Return the policies; all of them must allow a call.

        Raises:
            algorithms.contact.policy.PolicyError: none is named, or there is none of that name.
        """
        names = [name.strip() for name in self.policies.split(",") if name.strip()]
        if not names:
            raise PolicyError("No call is lawful without a policy. Set CREDIT_GRAPH_POLICIES, for example to cn.")
        return tuple(read_policy(name) for name in names)
