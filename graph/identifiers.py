"""One canonical form for each spelling of a personal value, or the reason why it must never become a node.

`canonical` is pure and repeatable: the canonical form of a canonical form is itself, so that a token made
from a night's file, from a search box or from the vault is the same token. Nothing here logs a value.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

import phonenumbers
from phonenumbers import PhoneNumberFormat, PhoneNumberType
from stdnum import luhn
from stdnum.cn import ric
from stdnum.exceptions import ValidationError

from graph.tokens import Kind

MAX_LENGTH = 512  # a longer field is a broken row, not a value; also bounds the work for one cell


class Canonical(NamedTuple):
    """`value` is the canonical form and `tag` its subtype; without a value `tag` is the reason code."""

    value: str | None
    tag: str


# --- text ------------------------------------------------------------------------------------------------

# Controls, soft hyphen, bidi and zero-width marks, variation selectors, tags, halves of surrogate pairs.
_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000e-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e01ef]"
)
_SPACES = re.compile(r"\s+")
_CJK = (
    "\u2e80-\u2fdf\u3005-\u3007\u3041-\u3096\u309d-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_CJK_SPACE = re.compile(rf"(?<=[{_CJK}])\s+(?=[{_CJK}])")
_CJK_PUNCTUATION = re.compile(rf"(?<=[{_CJK}])[\W_]+|[\W_]+(?=[{_CJK}])")
_MIDDLE_DOT = re.compile(rf"(?<=[{_CJK}])\s*[·•‧∙・.]\s*(?=[{_CJK}])")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PLACEHOLDERS = _words(
    "null none nil nan na n/a unknown undefined default test anonymous - -- / \\n 无 没有 未知 暂无 不详 空 保密 测试"
)
_ROLES = _words(
    "妈 妈妈 母亲 老妈 爸 爸爸 父亲 老爸 老婆 妻子 媳妇 老公 丈夫 哥 哥哥 弟弟 姐 姐姐 妹妹 儿子 女儿 爷爷 奶奶 "
    "外公 外婆 叔叔 阿姨 舅舅 姑姑 亲爱的 宝贝 家 家里 公司 老板 老师 同事 朋友 快递 快递员 外卖 司机 师傅 房东 中介 "
    "物业 客服 mom mum mother dad father wife husband home boss driver"
)


def _plain(raw: str) -> str:
    """Return NFKC text without invisible marks, with decimal digits of any script as ASCII."""
    text = unicodedata.normalize("NFKC", raw)
    while (cleaned := _INVISIBLE.sub("", text)) != text:
        text = unicodedata.normalize("NFKC", cleaned)  # a mark gone, its two neighbors may compose
    if not text.isascii():
        text = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)
    return text.strip()


def _folded(raw: str) -> str:
    """Return plain text without case and with single spaces."""
    text = _plain(raw)
    while (folded := text.casefold()) != text:
        text = _plain(folded)  # a folded letter may leave NFKC
    return _SPACES.sub(" ", text)


def _text(kind: Kind, text: str) -> Canonical | None:
    """Return the refusal common to all free text, or None."""
    if not text:
        return Canonical(None, "empty")
    if "*" in text:
        return Canonical(None, f"masked_{kind}")
    if text.casefold() in _PLACEHOLDERS:
        return Canonical(None, f"placeholder_{kind}")
    return None


def _name(raw: str) -> Canonical:
    text = _CJK_SPACE.sub("", _MIDDLE_DOT.sub("·", _folded(raw)))
    return _text(Kind.NAME, text) or Canonical(text, "role" if text in _ROLES else "name")


def _place(kind: Kind) -> Callable[[str], Canonical]:
    """Addresses and companies: spelling of spaces and punctuation around CJK carries no meaning, `1-2-301` does."""

    def form(raw: str) -> Canonical:
        text = _folded(raw)
        if refused := _text(kind, text):
            return refused
        text = _CJK_PUNCTUATION.sub("", text)
        return _text(kind, text) or Canonical(text, str(kind))

    return form


_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
# The Android id that one maker's Android 2.2 gave to every handset; the MAC that iOS 7 and Android 6 answer.
_SHARED_DEVICES = frozenset({"9774d56d682e549c", "02:00:00:00:00:00", "020000000000"})


def _opaque(kind: Kind) -> Callable[[str], Canonical]:
    """Ids that another system made: case is kept, but for UUIDs, where it has no meaning."""

    def form(raw: str) -> Canonical:
        text = _plain(raw)
        if refused := _text(kind, text):
            return refused
        if _UUID.fullmatch(text):
            text = text.lower()
        if kind is Kind.DEVICE_ID:
            letters = re.sub(r"[\W_]", "", text)
            if not letters or set(letters) == {"0"} or text.lower() in _SHARED_DEVICES:
                return Canonical(None, f"placeholder_{kind}")
            if len(letters) >= 8 and len(set(letters)) == 1:
                return Canonical(None, f"placeholder_{kind}")
        return Canonical(text, str(kind))

    return form


# --- phones ----------------------------------------------------------------------------------------------

_MOBILE = re.compile(r"(?:\+?86|0086)?(1[3-9][0-9]{9})")
# Banks and insurers 95xxx, local 96xxx, carriers 10xxx, public services 12xxx, message gateways 106…, 400 and 800.
_SERVICE = re.compile(r"9[56][0-9]{3,6}|10[0-9]{3,5}|12[0-9]{3}|106[0-9]{5,17}|[48]00[0-9]{7}")
_EXTENSION = re.compile(r"(?<=[0-9])[\s,;-]*(?:转|分机|ext(?:ension)?\.?|#)\s*:?\s*[0-9]{1,6}$", re.IGNORECASE)
_FLOAT = re.compile(r"([0-9]{5,})\.0+")  # what a spreadsheet or pandas makes of a column with gaps


def phone_by_library(text: str) -> Canonical:
    """Return what `phonenumbers` makes of plain text dialed in mainland China; mobiles take a shorter way."""
    try:
        number = phonenumbers.parse(text, "CN")
    except phonenumbers.NumberParseException:
        return Canonical(None, "not_a_phone")
    number.extension = None
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    if number.country_code != 86:
        return Canonical(e164, "foreign") if phonenumbers.is_valid_number(number) else Canonical(None, "not_a_phone")
    # A new block of mobile numbers is used before the library knows it: the shape decides, not its list.
    if re.fullmatch(r"\+861[3-9][0-9]{9}", e164):
        return Canonical(e164, "mobile")
    if phonenumbers.number_type(number) == PhoneNumberType.FIXED_LINE:
        return Canonical(e164, "landline")
    national = e164.removeprefix("+86")
    return Canonical(national, "service") if _SERVICE.fullmatch(national) else Canonical(None, "not_a_phone")


def _phone(raw: str) -> Canonical:
    if match := _MOBILE.fullmatch(raw):
        return Canonical("+86" + match[1], "mobile")
    text = _plain(raw)
    if match := _FLOAT.fullmatch(text):
        text = match[1]
    text = _EXTENSION.sub("", text)
    compact = re.sub(r"[\s\-‐‑‒–—]", "", text)
    if match := _MOBILE.fullmatch(compact):
        return Canonical("+86" + match[1], "mobile")
    digits = re.sub(r"[^0-9]", "", text)
    if not text:
        return Canonical(None, "empty")
    if re.search(r"[*xX•?]", text):
        return Canonical(None, "masked_phone")
    if re.search(r"[0-9]\D*[/,;、|\n或和&]\D*[0-9]", text):
        return Canonical(None, "two_numbers")
    if any(c.isalpha() for c in text):
        return Canonical(None, "not_a_phone")
    if len(digits) < 5:
        return Canonical(None, "too_short")
    if len(set(digits)) == 1:
        return Canonical(None, "one_digit")
    if _SERVICE.fullmatch(re.sub(r"[().]", "", compact)):
        return Canonical(digits, "service")
    if len(digits) > 16:
        parts = [len(part) for part in re.findall(r"[0-9][0-9-]*", text)]
        pair = len(parts) > 1 and min(parts) >= 7
        return Canonical(None, "two_numbers" if pair or re.fullmatch(r"(1[3-9][0-9]{9}){2}", digits) else "too_long")
    if 7 <= len(digits) <= 8 and not text.startswith(("+", "00")):
        return Canonical(None, "no_area_code")
    return phone_by_library(text)


# --- numbers with a check digit --------------------------------------------------------------------------

# Provinces; a 9 leads the permit of foreign residents. The county is not looked up: it is that of the first
# registration, and counties are renamed.
_REGION = re.compile(r"(?:1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]|9[0-9])[0-9]{15}[0-9X]")
_FIRST_BIRTH = dt.date(1900, 1, 1)


def _digits(kind: Kind, raw: str) -> tuple[str, Canonical | None]:
    """Return the upper-case text without separators, and the refusal if it is not made of ASCII digits (X apart)."""
    text = _plain(raw).upper()
    compact = re.sub(r"[\s\-‐‑‒–—.]", "", text)
    if not compact:
        return compact, Canonical(None, "empty")
    if "*" in compact or re.search(r"X.", compact):
        return compact, Canonical(None, f"masked_{kind}")
    if re.search(r"[0-9]{8}\s*[/,;、|]\s*[0-9]{8}", text):
        return compact, Canonical(None, "two_numbers")
    if not re.fullmatch(r"[0-9]+X?", compact):
        return compact, Canonical(None, "letters" if re.search(r"[0-9]", compact) else f"not_{kind}")
    return compact, Canonical(None, "one_digit") if len(set(compact)) == 1 else None


def _implausible(birth: dt.date) -> bool:
    return not _FIRST_BIRTH <= birth <= dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)


def _id_number(raw: str) -> Canonical:
    text, refused = _digits(Kind.ID_NUMBER, raw)
    if refused:
        return refused
    if len(text) == 15 and text.isdigit():
        text = f"{text[:6]}19{text[6:]}"
        text += ric.calc_check_digit(text + "0")
    elif len(text) != 18:
        return Canonical(None, "bad_length")
    if not _REGION.fullmatch(text):
        return Canonical(None, "bad_region")
    if text[-1] != ric.calc_check_digit(text):
        return Canonical(None, "bad_check_digit")
    try:
        birth = ric.get_birth_date(text)
    except ValidationError:
        return Canonical(None, "bad_birth_date")
    return Canonical(None, "bad_birth_date") if _implausible(birth) else Canonical(text, "id_number")


def birth_year(id_number: str) -> int:
    """Return the year of birth in a canonical 18-digit id number."""
    return int(id_number[6:10])


def gender(id_number: str) -> str:
    """Return `male` or `female` by the order code of a canonical 18-digit id number: odd is male."""
    return "male" if int(id_number[16]) % 2 else "female"


# Numbers that makers or flashing tools wrote into many handsets.
_SHARED_IMEIS = frozenset({"004999010640000", "135790246811220", "123456789012347", "012345678901237"})


def _imei(raw: str) -> Canonical:
    text, refused = _digits(Kind.IMEI, raw)
    if refused and set(text) == {"0"}:
        return Canonical(None, "zero_imei")  # fifteen zeros satisfy Luhn
    if refused or text[-1] == "X":
        return refused or Canonical(None, "letters")
    if len(text) == 8:
        return Canonical(None, "tac_only")
    if len(text) not in (14, 15, 16):
        return Canonical(None, "bad_length")
    body = text[:14]
    full = body + luhn.calc_check_digit(body)
    if len(text) == 15 and text != full:
        return Canonical(None, "bad_check_digit")
    if set(body) == {"0"}:
        return Canonical(None, "zero_imei")
    if len(set(body)) == 1:
        return Canonical(None, "one_digit")
    return Canonical(None, "placeholder_imei") if full in _SHARED_IMEIS else Canonical(full, "imei")


_BATCH_DIGITS = 11  # TAC, 8, and the first 3 of 6 serial digits: a run of 1,000 handsets (3GPP TS 23.003, 6.2)


def handset_batch(imei: str) -> str | None:
    """Return the batch of a canonical IMEI, model and thousand of the serial number; None for one digit repeated."""
    return _handset_batch(imei[:_BATCH_DIGITS]).value


def _handset_batch(raw: str) -> Canonical:
    text, refused = _digits(Kind.HANDSET_BATCH, raw)
    if refused or text[-1] == "X":
        return refused or Canonical(None, "letters")
    return Canonical(text, "handset_batch") if len(text) == _BATCH_DIGITS else Canonical(None, "bad_length")


def _iccid(raw: str) -> Canonical:
    text, refused = _digits(Kind.ICCID, raw)
    if refused or text[-1] == "X":
        return refused or Canonical(None, "letters")
    # No Luhn test: the mainland's 20-digit cards do not keep it.
    return Canonical(text, "iccid") if len(text) in (19, 20) else Canonical(None, "bad_length")


def _bank_card(raw: str) -> Canonical:
    text, refused = _digits(Kind.BANK_CARD, raw)
    if refused or text[-1] == "X":
        return refused or Canonical(None, "letters")
    if not 12 <= len(text) <= 19:
        return Canonical(None, "bad_length")
    return Canonical(text, "bank_card") if luhn.is_valid(text) else Canonical(None, "bad_check_digit")


# --- networks and dates ----------------------------------------------------------------------------------


_PRIVATE = [
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
]


def _ip(raw: str) -> Canonical:
    text = _plain(raw).strip("[]").partition("%")[0]
    if not text:
        return Canonical(None, "empty")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return Canonical(None, "not_ip")
    address = getattr(address, "ipv4_mapped", None) or address
    for reason in ("unspecified", "loopback", "link_local", "multicast"):
        if getattr(address, f"is_{reason}"):
            return Canonical(None, f"{reason}_ip")
    if str(address) == "255.255.255.255":
        return Canonical(None, "broadcast_ip")
    if any(address.version == net.version and address in net for net in _PRIVATE):
        return Canonical(None, "private_ip")  # every home has a 192.168.1.1: it would join strangers
    return Canonical(address.compressed, "ip")


_SHARED_WIFI = {
    "00:00:00:00:00:00": "zero_wifi",
    "ff:ff:ff:ff:ff:ff": "broadcast_wifi",
    "02:00:00:00:00:00": "placeholder_wifi",  # what iOS and Android answer instead of the real one
}


def _wifi(raw: str) -> Canonical:
    text = _plain(raw).lower()
    if not text:
        return Canonical(None, "empty")
    octets = re.split(r"[:-]", text)
    if len(octets) == 1:
        octets = re.findall("..", text.replace(".", "")) if len(text.replace(".", "")) == 12 else []
    if len(octets) != 6 or not all(re.fullmatch("[0-9a-f]{1,2}", octet) for octet in octets):
        return Canonical(None, "masked_wifi" if re.search("[*x]", text) else "not_wifi")
    value = ":".join(octet.zfill(2) for octet in octets)
    return Canonical(None, _SHARED_WIFI[value]) if value in _SHARED_WIFI else Canonical(value, "wifi")


_DATE = re.compile(r"([0-9]{4})([-/.年]?)([0-9]{1,2})(?:[-/.月]?)([0-9]{1,2})日?(?:[ t][0-9:.+z-]*)?")


def _birth_date(raw: str) -> Canonical:
    text = _plain(raw).lower()
    if not text:
        return Canonical(None, "empty")
    match = _DATE.fullmatch(text)
    if not match or (not match[2] and not re.match(r"[0-9]{8}(?![0-9])", text)):
        return Canonical(None, "not_birth_date")
    try:
        birth = dt.date(int(match[1]), int(match[3]), int(match[4]))
    except ValueError:
        return Canonical(None, "bad_birth_date")
    return Canonical(None, "bad_birth_date") if _implausible(birth) else Canonical(birth.isoformat(), "birth_date")


_FORMS: dict[Kind, Callable[[str], Canonical]] = {
    Kind.PHONE: _phone, Kind.ID_NUMBER: _id_number, Kind.NAME: _name, Kind.ROLE: _name, Kind.BIRTH_DATE: _birth_date,
    Kind.DEVICE_ID: _opaque(Kind.DEVICE_ID), Kind.IMEI: _imei, Kind.HANDSET_BATCH: _handset_batch, Kind.ICCID: _iccid,
    Kind.IP: _ip, Kind.WIFI: _wifi,
    Kind.ADDRESS: _place(Kind.ADDRESS), Kind.COMPANY: _place(Kind.COMPANY), Kind.BANK_CARD: _bank_card,
    Kind.ACCOUNT: _opaque(Kind.ACCOUNT), Kind.STAFF: _opaque(Kind.STAFF),
}  # fmt: skip


def canonical(kind: Kind, raw: str) -> Canonical:
    """Return the canonical form of one value, or the reason code why it must never become a node.

    Subtypes: phones are `mobile`, `landline`, `foreign` (E.164) or `service` (the bare digits of 95xxx, 400,
    10xxx …); names are `name` or `role` (a word like mother or courier: no identity); addresses of networks
    are `public` or `private` (the same private address in two homes is two networks); else the kind itself.
    """
    return Canonical(None, "too_long") if len(raw) > MAX_LENGTH else _FORMS[kind](raw)
