"""Values of secrets are kept, not shown."""

from mooring.core.secrecy import CHANGED, compared, hidden, kept

STORED = {"token": "czNjcmV0", "user": "YWRh"}


def test_answers_hold_keys_and_no_values() -> None:
    assert hidden({"kind": "Secret", "data": STORED}) == {
        "kind": "Secret",
        "data": {"token": "", "user": ""},
    }


def test_an_answer_sent_back_keeps_everything() -> None:
    assert kept(hidden({"data": STORED}), STORED)["data"] == STORED


def test_without_values_everything_is_kept() -> None:
    assert kept({"kind": "Secret"}, STORED) == {"kind": "Secret", "data": STORED}
    assert kept({"kind": "Secret", "data": None}, STORED)["data"] == STORED


def test_a_new_value_replaces_and_a_key_left_out_is_removed() -> None:
    assert kept({"data": {"token": "bmV3"}}, STORED)["data"] == {"token": "bmV3"}
    assert kept({"data": {}}, STORED)["data"] == {}


def test_clear_text_is_taken_as_it_stands() -> None:
    assert kept({"stringData": {"token": ""}}, STORED) == {"stringData": {"token": ""}}


def test_what_is_no_mapping_is_left_for_others_to_refuse() -> None:
    assert kept({"data": ["x"]}, STORED) == {"data": ["x"]}


def test_a_comparison_tells_which_values_are_new() -> None:
    shown = compared({"data": STORED}, {"data": {**STORED, "token": "bmV3", "more": "eA=="}})
    assert shown["data"] == {"more": CHANGED, "token": CHANGED, "user": ""}
