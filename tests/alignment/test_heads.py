"""Which heads are read: by name, from the model directory, and chosen by agreement."""

from pathlib import Path

import pytest

from nmt.alignment.heads import AlignmentHeads
from nmt.core.errors import UserError
from nmt.models.contracts import SINGLE_HEAD, Decoder, Head


class SomeDecoder:
    """As much of a decoder as heads are about."""

    heads = tuple(Head(head, layer) for layer in (0, 1) for head in (0, 1))
    alignment_heads = (0, 1)


@pytest.fixture
def decoder() -> Decoder:
    return SomeDecoder()  # type: ignore[return-value]


def test_heads_have_names_for_people() -> None:
    assert [head.name for head in SomeDecoder.heads[:2]] == ["layer 1 head 1", "layer 1 head 2"]
    assert [head.short_name for head in (*SomeDecoder.heads[2:], Head(1, kind="read"))] == ["2:1", "2:2", "read 2"]
    assert SINGLE_HEAD.name == SINGLE_HEAD.short_name == "attention"


def test_names_are_layer_and_head_or_those_of_the_decoder(decoder: Decoder) -> None:
    assert AlignmentHeads.of(decoder) == AlignmentHeads((0, 1), "output")
    assert AlignmentHeads.of(decoder, "2:1, 1:2,2:1", "input") == AlignmentHeads((2, 1), "input")
    assert AlignmentHeads.of(decoder, "layer 2 head 2").heads == (3,)
    assert AlignmentHeads((2, 1), "input").names(decoder) == ["2:1", "1:2"]


@pytest.mark.parametrize("name", ["3:1", "2:0", "1", "", "head"])
def test_an_unknown_head_is_refused(decoder: Decoder, name: str) -> None:
    with pytest.raises(UserError, match="no attention head"):
        AlignmentHeads.of(decoder, f"1:1,{name}")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"heads": "2:1"}',
        '{"heads": [1], "attention": "input"}',
        '{"heads": ["3:1"], "attention": "input"}',
    ],
)
def test_a_damaged_file_and_one_of_another_model_are_named(decoder: Decoder, tmp_path: Path, content: str) -> None:
    (tmp_path / "alignment.json").write_text(content)
    with pytest.raises(UserError, match=r"alignment\.json doesn't fit the model"):
        AlignmentHeads.load(tmp_path / "alignment.json", decoder)
