"""Files that are on the disk for good when a function returns, and the names of their contents."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path


def sha(content: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def sha_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy(source: Path, target: Path) -> str:
    """Copy a file to disk for good, nobody's to write, and return its SHA-256."""
    with source.open("rb") as read, target.open("xb") as write:
        shutil.copyfileobj(read, write, 1 << 20)
        write.flush()
        os.fchmod(write.fileno(), 0o444)
        os.fsync(write.fileno())
    return sha_of(target)


def write(path: Path, text: str) -> None:
    """Write a text in place of what the file held."""
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
