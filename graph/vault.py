"""The vault: plain personal values, encrypted, behind one reading method that writes the audit line first.

The table `LAKE/vault` has `token` string and `sealed` binary. The night writes it; here it is read, without Spark.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from graph.audit import AuditLog
from graph.tokens import PREFIX, Keys

_NONCE_BYTES = 12
_TOKEN = re.compile(rf"(?:{'|'.join(sorted(set(PREFIX.values())))})_[0-9a-f]{{32}}")


class VaultError(Exception):
    """The vault did not show a value; the message says why, without the value."""


def is_token(text: str) -> bool:
    """Tell whether the text has the shape of a token, such as `tel_` and 32 hexadecimal digits."""
    return _TOKEN.fullmatch(text) is not None


def seal(keys: Keys, token: str, plain: str | bytes) -> bytes:
    """Return nonce and AES-256-GCM ciphertext of a value, bound to its token: moved to another row it does not open."""
    nonce = os.urandom(_NONCE_BYTES)
    data = plain.encode() if isinstance(plain, str) else plain
    return nonce + AESGCM(keys.vault_key).encrypt(nonce, data, token.encode())


def seal_all(keys: Keys, tokens: Sequence[str], plains: Sequence[str]) -> list[bytes]:
    """Return `seal` of each pair, at a third of the time: one key schedule, one draw of random bytes.

    Random nonces are safe for 2³² values under one key (NIST SP 800-38D, 8.3); a larger
    vault needs more keys.
    """
    encrypt = AESGCM(keys.vault_key).encrypt
    drawn = os.urandom(_NONCE_BYTES * len(tokens))
    nonces = [drawn[at : at + _NONCE_BYTES] for at in range(0, len(drawn), _NONCE_BYTES)]
    return [
        nonce + encrypt(nonce, plain.encode(), token.encode())
        for nonce, token, plain in zip(nonces, tokens, plains, strict=True)
    ]


def unseal(keys: Keys, name: str, sealed: bytes) -> bytes:
    """Return what `seal` sealed under this name.

    Raises:
        VaultError: other keys, another name, or altered bytes.
    """
    try:
        return AESGCM(keys.vault_key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode())
    except InvalidTag:
        raise VaultError(
            f"The keys at hand do not open {name}: they are not those of this lake, or the row was altered. Set "
            "CREDIT_GRAPH_KEYS to the key file of this lake."
        ) from None


class Vault:
    """The vault of one lake."""

    def __init__(self, path: Path, keys: Keys, audit: AuditLog) -> None:
        self._path = path
        self._keys = keys
        self._audit = audit

    def reveal(self, token: str, user: str, purpose: str) -> str:
        """Return the plain value behind a token, after a line in the audit log that says who asked and why.

        A question about an unknown token is logged too.

        Raises:
            VaultError: no user or purpose, not a token, an unknown token, or other keys than the vault's.
            graph.audit.AuditUnavailableError: the line could not be written, so nothing was read.
        """
        if not user.strip() or not purpose.strip():
            raise VaultError(
                "A value is shown only to a named user for a stated purpose; one of the two was empty. Give both."
            )
        if not is_token(token):  # before the audit line, which must not hold what may be a plain value
            raise VaultError(
                "A token was needed, such as `tel_` and 32 hexadecimal digits, and something else was given."
            )
        self._audit.append(user=user.strip(), action="reveal", object=token, purpose=purpose.strip())
        sealed = self._sealed(token)
        return unseal(self._keys, token, sealed).decode()

    def _sealed(self, token: str) -> bytes:
        import pyarrow.dataset as ds
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        try:
            table = DeltaTable(str(self._path))
        except (TableNotFoundError, FileNotFoundError):
            raise VaultError(
                f"No vault was found at {self._path}. Run a night first, or set CREDIT_GRAPH_LAKE."
            ) from None
        # Each night's files are sorted by token: their bounds leave one of them to open.
        row = ds.field("token") == token
        found = table.to_pyarrow_dataset().to_table(columns=["sealed"], filter=row)
        if not found.num_rows:
            raise VaultError(
                f"The vault holds no value for {token}. It was erased, or the token was made with other keys than "
                "those of this lake."
            )
        return bytes(found["sealed"][0].as_py())
