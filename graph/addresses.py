"""The house an address lies in: what strangers share who give fifty rooms of one building.

Tokens of two rooms have nothing in common, so the house is found in the plain text, before the token is made. Written
for the order of Chinese addresses, region, street, house number or compound, then building, unit, floor and room (the
elements of GB/T 23705-2009), and for western ones with a unit behind the street. Where the parts are not plain, the
address stays whole: a house too wide joins strangers.
"""

from __future__ import annotations

import re

from graph.identifiers import canonical
from graph.tokens import Kind

_CHINESE = re.compile("[\u3400-\u9fff]")
_ARABIC = r"(?:(?<![a-z0-9])[a-z])?(?<![0-9])[0-9]+[a-z]?"
_COUNT = rf"第?(?:{_ARABIC}|[一二三四五六七八九十百零〇两]+)"
_NAMED = r"(?<![a-z0-9])[a-z]"  # block a
# `5号` is no house number in building 5, room 5, line 5, road no. 5 or "opposite number 5".
_NO_HOUSE = (
    "楼|栋|幢|座|宿舍|室|房|铺|店|门|库|仓|厂|车间|线|站|路|公路|街|大街|道|大道"
    "|巷|胡同|里|桥|井|地|码头|对|旁|附近|隔壁|斜|后"
)
_NO_PLACE_NAME = "(?![村庄镇乡县市区路街道巷桥峡])"  # 三层村, 五座桥

_PART = re.compile(
    rf"(?P<number>{_COUNT}(?:-[0-9]+)*号(?!{_NO_HOUSE})(?:大院|家属院|院|公馆)?(?:附[0-9]+号?|之(?:[0-9]+|[一二三四五六七八九十]+))?)"
    rf"|(?P<building>(?:{_COUNT}(?:号宿舍楼?|号楼|号?[栋幢座])|{_NAMED}[栋幢座楼]|[东西南北][座塔]){_NO_PLACE_NAME})"
    rf"|(?P<unit>(?:{_COUNT}(?:单元|层|楼)|{_ARABIC}号?(?:门(?!牌)|室|房|户|铺)|{_ARABIC}f(?![a-z])|[东西南北中]单元)"
    rf"{_NO_PLACE_NAME})"
    r"|(?P<chain>(?P<first>(?<![0-9a-z])[0-9]+[a-z]?)(?:[-#/ ]+[0-9a-z]+){2,}"
    r"|(?P<first_of_two>(?<![0-9a-z])[0-9]+[a-z]?)[-#/ ]+(?:[0-9]{3,}|[0-9a-z]+(?=单元|[号栋幢座层楼室房户])))"
)
# The end of a region, street or village. Not: 小区, a区, 新村, 山庄, 88弄, each of which names one place.
_AREA = re.compile(
    "省|市|(?<![小a-z0-9一二三四五六七八九十])区|县|旗|州|盟|镇|乡|(?<!新)村|(?<!山)庄|路|街|道|巷|胡同|(?<![0-9])弄|段|组|队|屯"
)
_REGION = re.compile("(?:省|市|(?<![业活宅园校发社])区|县|旗|州|盟|镇|乡|街道)$")  # 工业区 and its like are places
_BESIDE = re.compile("(?:旁|边|侧|口|内|前|后|对面|附近|隔壁)$")
_PHASE = re.compile("[a-z0-9一二三四五六七八九十]+[期区]$")

_UNIT_WORD = r"(?:apt|apartment|unit|suite|ste|room|rm|flat|floor|fl|level|block|blk|bldg|building|tower)\b"
_WESTERN_UNIT = re.compile(
    rf"[\s,;]+(?:{_UNIT_WORD}\.?\s*#?\s*(?:[a-z]?-?[0-9][\w-]*|[a-z])(?![\w-])"
    r"|#\s*\w+|[0-9]+(?:st|nd|rd|th)\s+fl(?:oor)?\b|[0-9]+/f\b)"
)


def house(address: str) -> str:
    """Return the canonical address of the house that a canonical address lies in; often the address itself.

    The house ends with its number (`…路100号`, `…88弄12号`, `…5号院`), else with the name of its compound
    (`…阳光花园`), else, where a building stands at a street or in a village without either, with the building
    (`…村3栋`). An address whose unit is not plain, or that names no region, street or village (there is an 阳光花园
    in every town), is its own house. The house of a house is itself, in canonical form.
    """
    return _chinese(address) if _CHINESE.search(address) else _western(address)


def _chinese(address: str) -> str:
    part = _PART.search(address)
    if part is None:
        return address
    before = address[: part.start()]
    areas = list(_AREA.finditer(before))
    if not areas:
        return address
    if part["number"]:
        return address[: part.end()]
    compound = _PHASE.sub("", before[areas[-1].end() :])
    if len(compound) > 1 and not _BESIDE.search(compound):
        return re.sub(r"[\W_]+$", "", before)
    if _REGION.search(before):
        return address
    if part["building"]:
        return address[: part.end()]
    if part["chain"]:  # 幸福路12-3-401
        return before + (part["first"] or part["first_of_two"])
    return address


def _western(address: str) -> str:
    """Take the unit out and keep what follows: the town."""
    if re.match(_UNIT_WORD, address):  # flat 5, 12 high street
        return address
    short = address
    while (shorter := _WESTERN_UNIT.sub("", short)) != short:
        short = shorter
    numbered = re.search("[0-9]", short) and re.search("[^\\W\\d_]{2}", short)
    # What is left of an odd text may not be in canonical form.
    return short if numbered and canonical(Kind.ADDRESS, short).value == short else address
