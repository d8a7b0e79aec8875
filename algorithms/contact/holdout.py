"""Which borrowers are left out of the work queue, so that what the queue adds can be told from what happens anyway."""

from __future__ import annotations

import hashlib

_SALT = "credit-graph leads 1"  # another salt is another draw: it would end every comparison that runs
_STEPS = 2**64


def held_out(loan_id: str, share: float = 0.05) -> bool:
    """Return whether a loan is held out, for a `share` of loans in [0, 1]; 0 holds out none, 1 all.

    The answer hangs on the id alone (SHA-256 with a fixed salt): it is the same every night, on every machine and in
    every version of Python. Who is held out at a share is held out at every larger one.

    Raises:
        ValueError: `share` is no share.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"A share lies between 0 and 1, for example 0.05; found {share}.")
    digest = hashlib.sha256(f"{_SALT}|{loan_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < round(share * _STEPS)
