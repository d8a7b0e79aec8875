"""The key that signs cookies: made once, readable by its owner only, beside the keys of tokens."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def cookie_key(path: Path) -> bytes:
    """Return the key in the file; one that is not there is made, once, whoever is first."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.{secrets.token_hex(4)}.part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_hex(32).encode())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(part, path)  # fails if another worker was first: both then read the same key
        except FileExistsError:
            pass
        finally:
            part.unlink()
    return path.read_bytes()
