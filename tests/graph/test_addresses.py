"""The house that an address lies in: cut where the parts are plain, whole where they are not."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from graph.addresses import house
from graph.identifiers import canonical
from graph.tokens import Kind

CUT = [
    ("上海市浦东新区世纪大道100号3栋201室", "上海市浦东新区世纪大道100号"),
    ("上海市徐汇区宛平南路88弄12号602室", "上海市徐汇区宛平南路88弄12号"),
    ("上海市普陀区曹杨新村12号302室", "上海市普陀区曹杨新村12号"),
    ("上海市浦东新区世纪大道100弄3号楼602", "上海市浦东新区世纪大道100弄"),
    ("北京市海淀区中关村大街1号院3号楼2单元501", "北京市海淀区中关村大街1号院"),
    ("北京市朝阳区建国路88号SOHO现代城A座1203", "北京市朝阳区建国路88号"),
    ("北京市朝阳区望京西园四区405号楼1203", "北京市朝阳区望京西园四区"),
    ("北京市朝阳区国贸大厦十八层1801", "北京市朝阳区国贸大厦"),
    ("广东省深圳市南山区阳光花园3栋2单元501", "广东省深圳市南山区阳光花园"),
    ("广东省深圳市南山区阳光花园3栋501号", "广东省深圳市南山区阳光花园"),
    ("成都市武侯区阳光花园3#2单元501", "成都市武侯区阳光花园"),
    ("成都市武侯区阳光花园3-501", "成都市武侯区阳光花园"),
    ("成都市武侯区阳光花园二期3幢", "成都市武侯区阳光花园二期"),
    ("成都市武侯区万科8号公馆3栋501", "成都市武侯区万科8号公馆"),
    ("沈阳市和平区幸福路12-3-401", "沈阳市和平区幸福路12"),
    ("杭州市西湖区文三路100 3栋201", "杭州市西湖区文三路100"),
    ("重庆市渝北区龙山路100号附3号5-2", "重庆市渝北区龙山路100号附3号"),
    ("广州市天河区人民路100号之一201房", "广州市天河区人民路100号之一"),
    ("广州市天河区人民路一百零八号三楼", "广州市天河区人民路一百零八号"),
    ("深圳市宝安区三号路15号2楼", "深圳市宝安区三号路15号"),
    # Neither number nor compound: the building is kept, for the street or village would be too wide.
    ("上海市浦东新区世纪大道3栋201", "上海市浦东新区世纪大道3栋"),
    ("深圳市福田区石厦村3栋201室", "深圳市福田区石厦村3栋"),
    ("深圳市龙华区某某工业区B栋宿舍412", "深圳市龙华区某某工业区B栋"),
    ("12 Main St Apt 4B", "12 Main St"),
    ("12 Main St, Unit 5, Springfield", "12 Main St, Springfield"),
    ("No. 1 Main St #4", "No. 1 Main St"),
    ("100 Main St, 3rd floor", "100 Main St"),
]
WHOLE = [
    "上海市浦东新区世纪大道100号",
    "湖北省某县XX村12组5号",
    "河南省三门峡市湖滨区黄河路5号",
    "广西三江县八层村5组",
    "沈阳市和平区幸福路12-3",  # unit 3, or the third house of number 12
    "成都市武侯区阳光花园501",
    "上海市浦东新区世纪大道201室",
    "深圳市福田区石厦村3巷201室",
    "天津市河东区3号楼301",
    "宿州市埇桥区一楼",
    "北京市西城区地铁1号线旁5号楼",
    "天通苑1号楼3单元501",  # no town: the name alone is common
    "无3栋",
    "12 Tower Road",
    "Flat 5, 12 High Street",
    "Room 5, Building 3",
    "test apt 4",
]


def plain(raw: str) -> str:
    value = canonical(Kind.ADDRESS, raw).value
    assert value is not None
    return value


@pytest.mark.parametrize(("raw", "expected"), CUT)
def test_building_unit_floor_and_room_are_left_out(raw: str, expected: str) -> None:
    assert house(plain(raw)) == plain(expected)


@pytest.mark.parametrize("raw", WHOLE)
def test_an_address_whose_unit_is_not_plain_is_its_own_house(raw: str) -> None:
    assert house(plain(raw)) == plain(raw)


WORDS = (
    "上海市 浦东新区 世纪大道 幸福村 阳光花园 小区 二期 88弄 12号 号 院 附3号 之一 3栋 a座 东单元 2单元 三层 18 501室 "
    "12-3-401 # - 厂 旁 对面 楼 室 soho main st apt 4b unit 5 5th floor"
)
PIECES = st.sampled_from([*WORDS.split(), " ", ", "])


@settings(max_examples=2000)
@given(st.one_of(st.lists(PIECES, min_size=1, max_size=9).map("".join), st.text(max_size=30)))
@example("a 1 apt apt 4 4")
def test_the_house_of_a_house_is_itself_and_a_canonical_address(raw: str) -> None:
    address = canonical(Kind.ADDRESS, raw).value
    if address is not None:
        found = house(address)
        assert canonical(Kind.ADDRESS, found).value == found
        assert house(found) == found
