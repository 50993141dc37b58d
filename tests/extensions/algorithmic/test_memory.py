"""``nmt inspect memory``, and ponder steps in ``nmt align``, as a user sees them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from fixture_types import RunNmt, TrainTiny
from pictures import svg_texts
from refusals import refused

import nmt
from nmt.extensions.algorithmic.memory import MemoryTrace, draw_memory, trace_memory

NTM = "{type: ntm, hidden_size: 8, slot_size: 4"


@pytest.fixture(scope="module")
def copier(train_tiny: TrainTiny) -> Path:
    """Hardly trained."""
    return train_tiny(
        "training.max_steps=1",
        f"model.encoder={NTM}, num_slots: 9}}",
        f"model.decoder={NTM}, memory: slots, num_read_heads: 2}}",
    )


@pytest.mark.slow
def test_memory_of_an_encoder_and_attention_of_a_decoder_are_one_picture(
    run_nmt: RunNmt, train_tiny: TrainTiny, tmp_path: Path
) -> None:
    directory = train_tiny("training.max_steps=1", f"model.encoder={NTM}, num_slots: 9}}")
    translator = nmt.load(directory)
    trace = trace_memory(translator, "Der Hund schläft", "The dog sleeps")
    (alignment,) = translator.align([("Der Hund schläft", "The dog sleeps")])
    num_read, num_words = len(trace.source_steps), len(alignment.target)
    assert trace.attention_TS[:num_read].sum() == 0  # while the source is read
    found = trace.attention_TS[num_read : num_read + num_words, : len(alignment.source)]
    np.testing.assert_allclose(found, alignment.weights, atol=1e-5)
    picture = tmp_path / "memory.svg"
    assert run_nmt("inspect", "memory", directory, "-o", picture, stdin="Der Hund schläft\n").returncode == 0
    titles = [text for text in svg_texts(picture) if re.match("write|read|attention", text)]
    assert titles == ["write 1", "read 1", "attention"]


def test_a_picture_shows_where_slots_are_left_out() -> None:
    weights_HTC = np.zeros((1, 4, 9), dtype=np.float32)
    weights_HTC[0, range(4), [0, 1, 5, 8]] = 1
    slots = tuple(map(str, range(9)))
    figure = draw_memory(MemoryTrace(("a", "b"), ("a", "b"), slots, weights_HTC, weights_HTC, np.eye(4, 2)))
    lines = [[line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == ":"] for axes in figure.axes]
    assert lines[:3] == [[2, 3], [2, 3], []]
    assert figure.axes[0].texts[0].get_text() == "slot ↓   step →"


def test_slots_of_long_sequences_have_readable_names() -> None:
    """Those of 80 symbols were in 2.7 points."""
    weights_HTC = np.eye(162, 81, dtype=np.float32)[None]
    figure = draw_memory(MemoryTrace(("a",) * 81, ("a",) * 81, tuple(map(str, range(81))), weights_HTC, weights_HTC))
    assert min(text.get_fontsize() for text in figure.axes[0].get_yticklabels()) > 5


@pytest.mark.slow
def test_slots_of_words_are_named_by_them(run_nmt: RunNmt, train_tiny: TrainTiny, tmp_path: Path) -> None:
    over_words = train_tiny("training.max_steps=1", f"model.decoder={NTM}, num_free_slots: 2}}")
    text = tmp_path / "test.de"
    text.write_text("\nDer Hund\ndie Katze schläft\n", encoding="utf-8")
    run_nmt("inspect", "memory", over_words, "-i", text, "-o", tmp_path / "m.svg", "--limit", 5, check=True)
    assert {"free-1", "Der", "Hund"} <= set(svg_texts(tmp_path / "m-0001.svg"))
    assert {"die", "Katze"} <= set(svg_texts(tmp_path / "m-0002.svg"))


@pytest.mark.parametrize(
    ("model", "stdin", "output", "reason"),
    [
        ("copier", "", "m.png", "no line to translate"),
        ("copier", "der Hund\n", "m.txt", "unknown picture format"),
        ("copier", "der Hund\n", "no/folder/m.png", "can't be written"),
        ("tiny_model", "der Hund\n", "m.png", "no external memory"),
    ],
)
def test_what_cannot_be_drawn_is_said(
    run_nmt: RunNmt, request: pytest.FixtureRequest, tmp_path: Path, model: str, stdin: str, output: str, reason: str
) -> None:
    directory = request.getfixturevalue(model)
    refused(run_nmt("inspect", "memory", directory, "-o", tmp_path / output, stdin=stdin), reason)


@pytest.mark.slow
def test_ponder_steps_stand_in_json_and_pictures(run_nmt: RunNmt, train_tiny: TrainTiny, tmp_path: Path) -> None:
    networks = (f"model.{part}={{type: act_rnn, hidden_size: 8, max_steps: 3}}" for part in ("encoder", "decoder"))
    pondering = train_tiny("training.max_steps=3", *networks)
    for language, line in (("de", "Der Hund schläft im Garten.\n"), ("en", "The dog sleeps in the garden.\n")):
        (tmp_path / f"test.{language}").write_text(line, encoding="utf-8")
    files = tmp_path / "test.de", tmp_path / "test.en"
    row = json.loads(run_nmt("align", pondering, *files, "--format", "json").stdout)
    assert len(row["ponder"]["source"]) == len(row["source"])
    assert len(row["ponder"]["target"]) == len(row["target"])
    assert all(1 <= steps <= 3 for side in row["ponder"].values() for steps in side)
    assert run_nmt("align", pondering, *files, "-o", tmp_path / "links.svg").returncode == 0
    assert svg_texts(tmp_path / "links.svg").count("ponder") == 2
