"""Where Neo4j, Spark, the keys and the caches live, read from the environment.

Settings are read in `__main__` and passed on as arguments; nothing else reads the environment.
"""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_cache_path
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Neo4jSettings(BaseSettings):
    """`NEO4J_URI`, `NEO4J_USERNAME`, `NEO4J_PASSWORD`, `NEO4J_HOME`, `NEO4J_PORT`, `NEO4J_HEAP`, `NEO4J_PAGE_CACHE`.

    Without `NEO4J_URI` the local server under `home` is used; its password lies in a 0600 file there.
    """

    model_config = SettingsConfigDict(env_prefix="NEO4J_")
    uri: str | None = None
    username: str = "neo4j"
    password: SecretStr | None = None
    home: Path = Path(".local/neo4j")
    port: int = 7687
    heap: str = "1g"
    page_cache: str = "1g"


class PlatformSettings(BaseSettings):
    """`CREDIT_GRAPH_CACHE` (jars), `_KEYS` (of tokens and vault, outside the lake), `_LAKE`, `_MODELS` (registry)."""

    model_config = SettingsConfigDict(env_prefix="CREDIT_GRAPH_")
    cache: Path = Field(default_factory=lambda: user_cache_path("credit-graph"))
    keys: Path = Path(".local/keys.json")
    lake: Path = Path(".local/lake")
    models: Path = Path(".local/models")


class SparkSettings(BaseSettings):
    """`SPARK_MASTER`, `SPARK_DRIVER_MEMORY`, `SPARK_DRIVER_HOST`, `SPARK_SHUFFLE_PARTITIONS`, `SPARK_LOCAL_DIR`."""

    model_config = SettingsConfigDict(env_prefix="SPARK_", extra="ignore")
    master: str = "local[2]"
    driver_memory: str = "4g"
    driver_host: str = "127.0.0.1"  # a cluster's executors must reach it: set it to this machine's address there
    shuffle_partitions: int = 4
    local_dir: Path = Path(".local/spark")
