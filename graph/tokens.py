"""Keyed tokens: what stands for a personal value everywhere but in the vault.

A token is `prefix_` and the first 16 bytes, in hexadecimal, of HMAC-SHA-256 (RFC 2104) over the canonical
value under a key of its own for each kind (HKDF, RFC 5869). Plain hashes of 11-digit numbers can be listed;
keyed ones cannot, and equal digits of two kinds never meet.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from graph.schema import Label


class Kind(StrEnum):
    """What sort of value a token stands for; each has its own key."""

    PHONE = "phone"
    ID_NUMBER = "id_number"
    NAME = "name"
    ROLE = "role"
    BIRTH_DATE = "birth_date"
    DEVICE_ID = "device_id"
    IMEI = "imei"
    HANDSET_BATCH = "handset_batch"
    ICCID = "iccid"
    IP = "ip"
    WIFI = "wifi"
    ADDRESS = "address"
    COMPANY = "company"
    BANK_CARD = "bank_card"
    ACCOUNT = "account"
    STAFF = "staff"


PREFIX: dict[Kind, str] = {
    Kind.PHONE: "tel", Kind.ID_NUMBER: "idn", Kind.NAME: "nam", Kind.ROLE: "rol", Kind.BIRTH_DATE: "dob",
    Kind.DEVICE_ID: "dev", Kind.IMEI: "dev", Kind.HANDSET_BATCH: "bat", Kind.ICCID: "sim", Kind.IP: "net",
    Kind.WIFI: "net", Kind.ADDRESS: "adr", Kind.COMPANY: "com", Kind.BANK_CARD: "crd", Kind.ACCOUNT: "acc",
    Kind.STAFF: "stf",
}  # fmt: skip

# Which kind of value names a node of the label; labels not listed are named by the lender's own opaque ids.
LABEL_KIND: dict[Label, Kind] = {
    Label.PHONE: Kind.PHONE, Label.DEVICE: Kind.DEVICE_ID, Label.SIM: Kind.ICCID, Label.ADDRESS: Kind.ADDRESS,
    Label.BANK_CARD: Kind.BANK_CARD, Label.ACCOUNT: Kind.ACCOUNT, Label.NETWORK: Kind.IP, Label.COMPANY: Kind.COMPANY,
}  # fmt: skip


class KeysMissingError(Exception):
    """No key file where one was needed."""


@dataclass(frozen=True)
class Keys:
    """The master secret of the tokens and the key of the vault; `repr` never shows them."""

    token_secret: bytes
    vault_key: bytes

    def __repr__(self) -> str:
        return "Keys(…)"

    @classmethod
    def create(cls, path: Path) -> Keys:
        """Write new random keys to `path` (mode 0600) and return them; keys that exist are returned unchanged."""
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            record = {
                name: base64.b64encode(secrets.token_bytes(32)).decode() for name in ("token_secret", "vault_key")
            }
            part = path.with_suffix(f".{os.getpid()}.part")
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(record, file)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(part, path)  # fails if another process was first: both then read the same keys
            except FileExistsError:
                pass
            finally:
                part.unlink()
        return cls.read(path)

    @classmethod
    def read(cls, path: Path) -> Keys:
        """Return the keys in `path`.

        Raises:
            KeysMissingError: there is no such file; tokens made with other keys would not match the lake's.
        """
        try:
            record = json.loads(path.read_text())
        except FileNotFoundError:
            raise KeysMissingError(
                f"The token keys were needed at {path} and are not there. Run a night first (it makes them), "
                "or set CREDIT_GRAPH_KEYS to the key file of this lake."
            ) from None
        return cls(base64.b64decode(record["token_secret"]), base64.b64decode(record["vault_key"]))

    @cached_property
    def _kind_keys(self) -> dict[Kind, bytes]:
        return {
            kind: HKDF(hashes.SHA256(), 32, salt=None, info=f"token:{kind}".encode()).derive(self.token_secret)
            for kind in Kind
        }

    def tokens(self, kind: Kind, values: Sequence[str]) -> list[str]:
        """Return the tokens of canonical values."""
        # HMAC written out as RFC 2104 does: copying two keyed states takes a third of the time of `hmac.digest`.
        key = self._kind_keys[kind].ljust(64, b"\0")
        inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key))
        outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key))
        prefix, out = PREFIX[kind] + "_", []
        for value in values:
            first, second = inner.copy(), outer.copy()
            first.update(value.encode())
            second.update(first.digest())
            out.append(prefix + second.hexdigest()[:32])
        return out

    def token(self, kind: Kind, value: str) -> str:
        """Return the token of one canonical value."""
        return self.tokens(kind, [value])[0]
