"""From what a person types to a node: `tel:` and a number, a token, or `person:` and an id."""

from __future__ import annotations

from collections.abc import Callable

from graph.answers import End, GraphError
from graph.identifiers import canonical
from graph.schema import Label
from graph.tokens import Keys, Kind
from graph.vault import is_token

PLAIN: dict[str, tuple[Label, Kind]] = {
    "tel": (Label.PHONE, Kind.PHONE), "dev": (Label.DEVICE, Kind.DEVICE_ID), "imei": (Label.DEVICE, Kind.IMEI),
    "sim": (Label.SIM, Kind.ICCID), "ip": (Label.NETWORK, Kind.IP), "wifi": (Label.NETWORK, Kind.WIFI),
    "adr": (Label.ADDRESS, Kind.ADDRESS), "com": (Label.COMPANY, Kind.COMPANY),
    "crd": (Label.BANK_CARD, Kind.BANK_CARD), "acc": (Label.ACCOUNT, Kind.ACCOUNT),
}  # fmt: skip
OPAQUE: dict[str, Label] = {
    "person": Label.PERSON, "application": Label.APPLICATION, "loan": Label.LOAN, "channel": Label.CHANNEL,
    "ring": Label.RING,
}  # fmt: skip
_TOKEN_LABEL = {
    "tel": Label.PHONE, "dev": Label.DEVICE, "sim": Label.SIM, "net": Label.NETWORK, "adr": Label.ADDRESS,
    "com": Label.COMPANY, "crd": Label.BANK_CARD, "acc": Label.ACCOUNT,
}  # fmt: skip


class LookupFailedError(GraphError):
    """What was typed names no node; the message does not repeat it, for it may be a personal value."""


def resolve(text: str, keys: Callable[[], Keys]) -> End:
    """Return the label and id that a text names; the keys are read only for a plain value.

    Raises:
        LookupFailedError: the text is not of a known form, or its value may never be a node.
    """
    text = text.strip()
    kind, colon, value = text.partition(":")
    if not colon and is_token(text):
        return _by_token(text)
    kind, value = kind.strip().lower(), value.strip()
    if colon and value and kind in OPAQUE:
        return End(OPAQUE[kind].value, value)
    if colon and value and kind in PLAIN:
        if is_token(value):
            return _by_token(value)
        label, of = PLAIN[kind]
        form = canonical(of, value)
        if form.value is None:
            raise LookupFailedError(
                f"That {of.replace('_', ' ')} was refused ({form.tag}), as it would be in a lender's file, so it is in "
                "no graph. Check its digits."
            )
        return End(label.value, keys().token(of, form.value))
    if kind == "idn":
        raise LookupFailedError("An id number is not a node of its own. Ask for its person: person:ID.")
    raise LookupFailedError(
        f"A node was needed as KIND:VALUE with KIND one of {', '.join([*PLAIN, *OPAQUE])}, for example "
        "tel:13800138000, or as a token such as `tel_` and 32 hexadecimal digits."
    )


def spelled(node: End) -> str:
    """Return how to ask for a node again without its plain value."""
    kind = next((name for name, label in OPAQUE.items() if label == node.label), None)
    return f"{kind}:{node.id}" if kind else node.id


def _by_token(token: str) -> End:
    label = _TOKEN_LABEL.get(token[:3])
    if label is None:
        raise LookupFailedError(
            f"A token of the kind {token[:3]} is not a node of its own. Ask for its person: person:ID."
        )
    return End(label.value, token)
