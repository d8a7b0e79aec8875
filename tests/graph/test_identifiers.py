"""Canonical forms: the broken rows of the catalogue, and properties over generated values."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from stdnum.cn import ric

from graph.identifiers import (
    MAX_LENGTH,
    Canonical,
    birth_year,
    canonical,
    gender,
    handset_batch,
    phone_by_library,
)
from graph.tokens import Kind

ID_18 = "11010519491231002X"


@pytest.mark.parametrize(
    ("raw", "value", "tag"),
    [
        ("13800138000", "+8613800138000", "mobile"),
        ("+86 138-0013-8000", "+8613800138000", "mobile"),
        ("008613800138000", "+8613800138000", "mobile"),
        ("１３８００１３８０００", "+8613800138000", "mobile"),
        ("\u202a13800138000\u202c", "+8613800138000", "mobile"),
        ("013800138000", "+8613800138000", "mobile"),
        ("13800138000.0", "+8613800138000", "mobile"),
        ("010-12345678", "+861012345678", "landline"),
        ("(0755) 12345678", "+8675512345678", "landline"),
        ("010-12345678转123", "+861012345678", "landline"),
        ("95588", "95588", "service"),
        ("400-800-1234", "4008001234", "service"),
        ("+864008001234", "4008001234", "service"),
        ("10086", "10086", "service"),
        ("12306", "12306", "service"),
        ("1069012345678901", "1069012345678901", "service"),
        ("+852 9123 4567", "+85291234567", "foreign"),
        ("0085291234567", "+85291234567", "foreign"),
        ("138****0000", None, "masked_phone"),
        ("138xxxx0000", None, "masked_phone"),
        ("13800138000/13900139000", None, "two_numbers"),
        ("13800138000，13900139000", None, "two_numbers"),
        ("13800138000 13900139000", None, "two_numbers"),
        ("1380013800013900139000", None, "two_numbers"),
        ("110", None, "too_short"),
        ("12345678", None, "no_area_code"),
        ("11111111111", None, "one_digit"),
        ("00000000000", None, "one_digit"),
        ("1.38E+10", None, "not_a_phone"),
        ("妈妈", None, "not_a_phone"),
        (" ", None, "empty"),
    ],
)
def test_a_phone_has_one_form_however_it_is_spelled(raw: str, value: str | None, tag: str) -> None:
    assert canonical(Kind.PHONE, raw) == Canonical(value, tag)


@given(
    digits=st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True),
    prefix=st.sampled_from(["", "+86", "86", "0086"]),
    cuts=st.lists(st.tuples(st.integers(0, 11), st.sampled_from([" ", "-", "  "])), max_size=4),
    wide=st.booleans(),
)
def test_the_short_way_for_mobiles_answers_as_the_library_does(
    digits: str, prefix: str, cuts: list[tuple[int, str]], wide: bool
) -> None:
    spelled = digits
    for at, mark in sorted(cuts, reverse=True):
        spelled = spelled[:at] + mark + spelled[at:]
    spelled = prefix + spelled
    raw = spelled.translate({ord("0") + d: ord("０") + d for d in range(10)}) if wide else spelled
    assert canonical(Kind.PHONE, raw) == phone_by_library(spelled) == Canonical("+86" + digits, "mobile")


@given(st.from_regex(r"(\+|00)?[0-9]{5,15}", fullmatch=True))
def test_no_number_takes_the_short_way_that_the_library_reads_otherwise(raw: str) -> None:
    answer = canonical(Kind.PHONE, raw)
    if answer.tag == "mobile":
        assert answer == phone_by_library(raw)


@pytest.mark.parametrize(
    ("raw", "value", "tag"),
    [
        (ID_18, ID_18, "id_number"),
        ("11010519491231002x", ID_18, "id_number"),
        ("１１０１０５１９４９１２３１００２Ｘ", ID_18, "id_number"),
        ("110105 19491231 002X", ID_18, "id_number"),
        ("110105491231002", ID_18, "id_number"),
        ("110105194912310021", None, "bad_check_digit"),
        ("111111111111111111", None, "one_digit"),
        ("110105********002X", None, "masked_id_number"),
        ("1101051949123100", None, "bad_length"),
        ("G12345678", None, "letters"),
        ("", None, "empty"),
    ],
)
def test_an_id_number_has_eighteen_places_and_a_right_check_digit(raw: str, value: str | None, tag: str) -> None:
    assert canonical(Kind.ID_NUMBER, raw) == Canonical(value, tag)


@pytest.mark.parametrize("birth", ["18991231", "19491331", "19490230", "20991231", "00000000"])
def test_an_id_number_with_an_impossible_birth_date_is_refused(birth: str) -> None:
    body = f"110105{birth}002"
    raw = body + ric.calc_check_digit(body + "0")
    assert canonical(Kind.ID_NUMBER, raw) == Canonical(None, "bad_birth_date")


def test_birth_year_and_gender_are_read_from_the_id_number() -> None:
    assert (birth_year(ID_18), gender(ID_18)) == (1949, "female")
    assert gender("110105194912310039") == "male"


@pytest.mark.parametrize(
    ("kind", "raw", "value", "tag"),
    [
        (Kind.IMEI, "354178036859789", "354178036859789", "imei"),
        (Kind.IMEI, "35-417803-685978-9", "354178036859789", "imei"),
        (Kind.IMEI, "35417803685978", "354178036859789", "imei"),
        (Kind.IMEI, "3541780368597801", "354178036859789", "imei"),
        (Kind.IMEI, "354178036859781", None, "bad_check_digit"),
        (Kind.IMEI, "000000000000000", None, "zero_imei"),
        (Kind.IMEI, "00000000000000", None, "zero_imei"),
        (Kind.IMEI, "35417803", None, "tac_only"),
        (Kind.IMEI, "354178036859789/354178036859797", None, "two_numbers"),
        (Kind.HANDSET_BATCH, "35 417803 685", "35417803685", "handset_batch"),
        (Kind.HANDSET_BATCH, "35417803", None, "bad_length"),
        (Kind.HANDSET_BATCH, "00000000000", None, "one_digit"),
        (Kind.ICCID, "89860012345678901234", "89860012345678901234", "iccid"),
        (Kind.ICCID, "8986 0012 3456 7890 123", "8986001234567890123", "iccid"),
        (Kind.ICCID, "8986001234567890123F", None, "letters"),
        (Kind.ICCID, "898600", None, "bad_length"),
        (Kind.IP, "1.2.3.4", "1.2.3.4", "ip"),
        (Kind.IP, "::ffff:1.2.3.4", "1.2.3.4", "ip"),
        (Kind.IP, "2400:DA00:0::1", "2400:da00::1", "ip"),
        (Kind.IP, "192.168.1.1", None, "private_ip"),
        (Kind.IP, "0.0.0.0", None, "unspecified_ip"),
        (Kind.IP, "127.0.0.1", None, "loopback_ip"),
        (Kind.IP, "fe80::1%eth0", None, "link_local_ip"),
        (Kind.IP, "1.2.3", None, "not_ip"),
        (Kind.WIFI, "AA-BB-CC-DD-EE-0F", "aa:bb:cc:dd:ee:0f", "wifi"),
        (Kind.WIFI, "aabbccddee0f", "aa:bb:cc:dd:ee:0f", "wifi"),
        (Kind.WIFI, "00:00:00:00:00:00", None, "zero_wifi"),
        (Kind.WIFI, "FF:FF:FF:FF:FF:FF", None, "broadcast_wifi"),
        (Kind.WIFI, "02:00:00:00:00:00", None, "placeholder_wifi"),
        (Kind.WIFI, "home network", None, "not_wifi"),
        (Kind.BANK_CARD, "4111 1111 1111 1111", "4111111111111111", "bank_card"),
        (Kind.BANK_CARD, "4111111111111112", None, "bad_check_digit"),
        (Kind.BANK_CARD, "4111****1111", None, "masked_bank_card"),
        (Kind.BANK_CARD, "0000000000000000", None, "one_digit"),
        (Kind.NAME, "张　三", "张三", "name"),
        (Kind.NAME, "ＷANG\u200b  Lei ", "wang lei", "name"),
        (Kind.NAME, "阿卜杜拉 • 买买提", "阿卜杜拉·买买提", "name"),
        (Kind.NAME, "妈妈", "妈妈", "role"),
        (Kind.NAME, "张*", None, "masked_name"),
        (Kind.NAME, "null", None, "placeholder_name"),
        (Kind.ADDRESS, "北京市，朝阳区 建国路１号 2-301", "北京市朝阳区建国路1号2-301", "address"),
        (Kind.ADDRESS, "No. 1  Main St", "no. 1 main st", "address"),
        (Kind.COMPANY, "某某（北京）有限公司", "某某北京有限公司", "company"),
        (Kind.DEVICE_ID, " aB-1 ", "aB-1", "device_id"),
        (Kind.DEVICE_ID, "6F9619FF-8B86-D011-B42D-00CF4FC964FF", "6f9619ff-8b86-d011-b42d-00cf4fc964ff", "device_id"),
        (Kind.DEVICE_ID, "00000000-0000-0000-0000-000000000000", None, "placeholder_device_id"),
        (Kind.DEVICE_ID, "9774d56d682e549c", None, "placeholder_device_id"),
        (Kind.DEVICE_ID, "unknown", None, "placeholder_device_id"),
        (Kind.BIRTH_DATE, "19900102", "1990-01-02", "birth_date"),
        (Kind.BIRTH_DATE, "1990年1月2日", "1990-01-02", "birth_date"),
        (Kind.BIRTH_DATE, "1990-01-02T00:00:00Z", "1990-01-02", "birth_date"),
        (Kind.BIRTH_DATE, "0000-00-00", None, "bad_birth_date"),
        (Kind.BIRTH_DATE, "1990-02-29", None, "bad_birth_date"),
        (Kind.BIRTH_DATE, "33000", None, "not_birth_date"),
    ],
)
def test_other_values_have_one_form_or_a_reason(kind: Kind, raw: str, value: str | None, tag: str) -> None:
    assert canonical(kind, raw) == Canonical(value, tag)


def test_handsets_of_one_thousand_of_a_model_are_one_batch() -> None:
    imeis = [canonical(Kind.IMEI, f"35417803{serial:06}").value or "" for serial in (685_000, 685_999, 686_000)]
    assert [handset_batch(imei) for imei in imeis] == ["35417803685", "35417803685", "35417803686"]
    assert handset_batch(canonical(Kind.IMEI, "00000000000123").value or "") is None


VALUES = st.one_of(
    st.text(max_size=40),
    st.text(alphabet="0123456789xX*- +./:()abcdefABCDEF", max_size=24),
    st.text(alphabet="北京市路か\u3099·•.,，（） ｶﾞﾞ\u200b\u0301éİßﬁ1 A", max_size=12),
    st.from_regex(r"(\+|00|0)?[0-9]{5,20}", fullmatch=True),
    st.from_regex(r"[1-6][0-9]{5}(19|20)[0-9]{9}[0-9X]", fullmatch=True),
    st.ip_addresses().map(str),
    st.dates(dt.date(1890, 1, 1)).map(str),
)


@settings(max_examples=1000)
@given(kind=st.sampled_from(Kind), raw=VALUES)
@example(Kind.NAME, "か \u3099")
@example(Kind.NAME, "\u0130")
def test_the_canonical_form_is_its_own_canonical_form(kind: Kind, raw: str) -> None:
    first = canonical(kind, raw)
    assert first.tag.isidentifier()
    assert first.tag.islower()
    if first.value is not None:
        assert canonical(kind, first.value) == first
        first.value.encode()


@pytest.mark.parametrize("kind", Kind)
def test_a_huge_field_is_refused_at_once(kind: Kind) -> None:
    assert canonical(kind, "1" * (MAX_LENGTH + 1)) == Canonical(None, "too_long")
