from hypothesis import given
from hypothesis import strategies as st

from graph.identifiers import canonical
from graph.tokens import Keys, Kind
from ingest.tokenizing import TokenMemory, mobiles

KEYS = Keys(b"t" * 32, b"v" * 32)
NUMBERS = st.from_regex(r"(\\+?86|0086)?[ -]?1[0-9]{9,11}|[0-9*+ -]{3,14}", fullmatch=True)


@given(st.lists(NUMBERS, max_size=20))
def test_the_list_says_of_each_phone_what_the_single_value_says(raws):
    for raw, digits in zip(raws, mobiles(raws), strict=True):
        if digits is not None:
            assert canonical(Kind.PHONE, raw) == ("+86" + digits, "mobile")
    tokens, tags = TokenMemory(KEYS).look_up(Kind.PHONE, raws)
    forms = [canonical(Kind.PHONE, raw) for raw in raws]
    assert tags == [form.tag for form in forms]
    assert tokens == [form.value and KEYS.token(Kind.PHONE, form.value) for form in forms]


def test_a_value_is_sealed_once_however_it_is_spelled():
    memory = TokenMemory(KEYS)
    tokens, tags = memory.look_up(Kind.PHONE, ["13800138000", "+8613800138000", "138 0013 8000"])
    assert len(set(tokens)) == 1
    assert tags == ["mobile"] * 3
    assert memory.vault_rows().num_rows == 1
    memory.vault_written()
    memory.look_up(Kind.PHONE, ["13800138000"])
    assert memory.vault_rows().num_rows == 0


def test_a_role_in_an_address_book_has_a_token_of_its_own_kind():
    (role, name), _ = TokenMemory(KEYS).look_up(Kind.NAME, ["妈妈", "张三"])
    assert role.startswith("rol_")
    assert name.startswith("nam_")


def test_another_systems_id_is_taken_as_it_is_but_a_masked_number_never():
    memory = TokenMemory(KEYS)
    assert memory.look_up(Kind.PHONE, ["pn-12"]) == ([None], ["not_a_phone"])
    assert memory.look_up(Kind.PHONE, ["pn-12"], opaque=True)[0][0].startswith("tel_")
    assert memory.look_up(Kind.PHONE, ["138****0000"], opaque=True) == ([None], ["masked_phone"])


def test_rooms_of_one_house_and_handsets_of_one_batch_meet_in_a_second_token():
    memory = TokenMemory(KEYS)
    rooms = ["上海市世纪大道100号3栋201室", "上海市世纪大道100号 302室", "上海市世纪大道100号", "上海市***"]
    tokens, _ = memory.look_up(Kind.ADDRESS, rooms)
    assert len(set(tokens)) == 4
    assert memory.wholes(Kind.ADDRESS, rooms) == [tokens[2]] * 3 + [None]
    handsets = ["35417803685978", "35417803685979", "35417803685978-9", "35417803700000", "000000000000000"]
    tokens, _ = memory.look_up(Kind.IMEI, handsets)
    batches = memory.wholes(Kind.IMEI, handsets)
    assert batches[:3] == [KEYS.token(Kind.HANDSET_BATCH, "35417803685")] * 3
    assert (batches[3] != batches[0], batches[4]) == (True, None)
    assert {*batches} - {None} <= {*memory.vault_rows()["token"].to_pylist()}
    memory.vault_written()
    memory.look_up(Kind.ADDRESS, rooms)
    assert memory.wholes(Kind.IMEI, handsets) == batches
    assert memory.vault_rows().num_rows == 0


def test_a_memory_that_is_full_forgets_tokens_and_what_they_are_part_of_together(monkeypatch):
    monkeypatch.setattr("ingest.tokenizing.CACHE_VALUES", 1)
    memory = TokenMemory(KEYS)
    for floor in range(4):
        rooms = [f"上海市世纪大道100号{floor}层{room}室" for room in range(2)]
        memory.look_up(Kind.ADDRESS, rooms)
        memory.look_up(Kind.ADDRESS, rooms, opaque=True)
        assert memory.wholes(Kind.ADDRESS, rooms) == [KEYS.token(Kind.ADDRESS, "上海市世纪大道100号")] * 2
