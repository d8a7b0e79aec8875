import hmac
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.tokens import PREFIX, Keys, KeysMissingError, Kind

KEYS = Keys(b"t" * 32, b"v" * 32)


@given(st.sampled_from(Kind), st.lists(st.text(max_size=200)))
def test_a_token_is_the_hmac_of_the_value_under_its_kinds_key(kind, values):
    key = KEYS._kind_keys[kind]
    expected = [f"{PREFIX[kind]}_" + hmac.digest(key, value.encode("utf-8"), "sha256")[:16].hex() for value in values]
    assert KEYS.tokens(kind, values) == expected


def test_equal_digits_of_two_kinds_never_meet():
    assert KEYS.token(Kind.DEVICE_ID, "490154203237518") != KEYS.token(Kind.IMEI, "490154203237518")


def test_keys_are_made_once_and_only_their_owner_reads_them(tmp_path):
    path = tmp_path / "deep" / "keys.json"
    made = Keys.create(path)
    assert Keys.create(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "…" in repr(made)
    assert made.token_secret.hex() not in repr(made)


def test_missing_keys_are_a_sentence_with_the_next_step(tmp_path):
    with pytest.raises(KeysMissingError, match="CREDIT_GRAPH_KEYS"):
        Keys.read(tmp_path / "keys.json")
