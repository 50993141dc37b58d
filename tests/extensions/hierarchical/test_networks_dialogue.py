"""Dialogues from a recipe to translations: the answer hangs on what was said before.

The last turn says "it", and the language translated to has two words for it, by the noun that was named before. A
model of the last turn alone can't know which; a hierarchical one learns it.
"""

import itertools
import json
from pathlib import Path

import pytest
from fixture_types import RunNmt, TrainTiny

import nmt
from nmt.core.errors import UserError
from nmt.recipe.load import parse_settings
from nmt.translation.load import load

NOUNS = {"dog": "er", "moon": "er", "cat": "sie", "lamp": "sie"}
SEEN = ["I see the {}.", "There was the {}!"]
BETWEEN = ["Yes.", ""]
SAID = {"It is big.": "{} ist groß.", "Is it old?": "Ist {} alt?"}

RECIPE = """
device: cpu
data: {root: ROOT, source: en, target: de, history_turns: 2}
vocabulary: {type: word, joint: false}
model:
  embedding_size: 24
  encoder: {type: hierarchical, cell: gru, hidden_size: 16}
  decoder: {type: bahdanau, cell: gru, hidden_size: 32,
            attention: {type: hierarchical, size: 24, hidden_size: 24}}
training: {batch_tokens: 360, max_steps: 100, learning_rate: 0.03, schedule: {type: cosine, warmup_steps: 10},
           validate_every: 100, metric: loss, precision: fp32, label_smoothing: 0.0}
"""
FLAT = ("model.encoder.type=recurrent", "model.decoder.attention={type: additive, size: 24}")


def dialogues() -> list[tuple[str, str]]:
    """Every noun in every sentence, with every answer between and every last turn."""
    lines = []
    for (noun, pronoun), seen, between, (said, meant) in itertools.product(NOUNS.items(), SEEN, BETWEEN, SAID.items()):
        target = meant.format(pronoun)
        lines.append((f"{seen.format(noun)}\t{between}\t{said}", target[0].upper() + target[1:]))
    return lines


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> TrainTiny:
    folder = tmp_path_factory.mktemp("dialogues")
    for split, lines in (("train", dialogues()), ("val", dialogues()[::5])):
        for side, language in enumerate(("en", "de")):
            text = "".join(f"{pair[side]}\n" for pair in lines)
            (folder / f"{split}.{language}").write_text(text, encoding="utf-8")
    (folder / "recipe.yaml").write_text(RECIPE.replace("ROOT", str(folder)), encoding="utf-8")

    def run(*settings: str) -> Path:
        return nmt.train(
            folder / "recipe.yaml", tmp_path_factory.mktemp("run") / "model", overrides=parse_settings(settings)
        )

    return run


@pytest.fixture(scope="module")
def hierarchical(train: TrainTiny) -> Path:
    return train()


@pytest.mark.slow
def test_a_hierarchical_model_uses_what_was_said_before(hierarchical: Path) -> None:
    found = load(hierarchical, "cpu").translate([source for source, _ in dialogues()], beam_size=2)
    assert [translation.text for translation in found] == [target for _, target in dialogues()]


HOSTILE = [
    "",
    "\t",
    "\t\t\t",
    "I see the dog.\t",
    "\tIt is big.",
    "   \t \tIs it old?",
    "x\ty\tz",
    "<turn>\t<turn>",
    "a\rb",
]


@pytest.mark.slow
@pytest.mark.parametrize("settings", [(), FLAT, ("vocabulary={type: bpe, size: 90, byte_fallback: false}",)])
def test_as_many_lines_come_out_as_go_in(train: TrainTiny, run_nmt: RunNmt, settings: tuple[str, ...]) -> None:
    model = train("training.max_steps=2", *settings)
    text = "\n".join(HOSTILE) + "\n"
    done = run_nmt("translate", model, stdin=text)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.split("\n")
    assert len(lines) == len(HOSTILE) + 1
    assert "\t" not in done.stdout
    # Where the current turn is empty there is nothing to translate.
    assert [line == "" for line in lines[:4]] == [True] * 4
    done = run_nmt("translate", model, "--format", "jsonl", stdin=text)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["source"] for row in rows] == HOSTILE
    assert [row["translation"] for row in rows] == lines[:-1]


def test_a_long_dialogue_loses_its_oldest_turns_and_a_long_turn_its_end(train: TrainTiny, run_nmt: RunNmt) -> None:
    model = train("training.max_steps=2", "data.max_length=8")
    long = "I see the dog. " * 6
    done = run_nmt("translate", model, "--format", "jsonl", stdin=f"{long}\tYes.\tIs it old?\nYes.\tIs it old?\n")
    first, second = map(json.loads, done.stdout.splitlines())
    assert done.stderr == ""
    assert first["score"] == second["score"]
    done = run_nmt("translate", model, stdin=f"Yes.\t{long}\n")
    assert "line 1 has 30 pieces: only the first 16 are translated" in done.stderr


@pytest.mark.slow
def test_an_alignment_of_a_dialogue_has_both_levels(hierarchical: Path, run_nmt: RunNmt, tmp_path: Path) -> None:
    source, target = tmp_path / "a.en", tmp_path / "a.de"
    source.write_text("Oh!\tI see the cat.\tYes.\tIs it old?\nIt is big.\n", encoding="utf-8")
    target.write_text("Ich sehe sie.\tIst sie alt?\nEr ist groß.\n", encoding="utf-8")
    done = run_nmt("align", hierarchical, source, target, "--format", "json", check=True)
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["target"] == ["Ist", "sie", "alt?"]
    assert first["turns"] == [0, 1, 1, 1, 1, 2, 3, 3, 3]
    assert second["turns"] == [0, 0, 0]
    for row, of_turns in zip(first["weights"], first["turn_weights"], strict=True):
        assert sum(of_turns) == pytest.approx(1, abs=1e-3)
        assert of_turns[0] == row[0] == 0, "only two turns before the current one are read"
        for turn in range(4):
            words = sum(weight for weight, number in zip(row, first["turns"], strict=True) if number == turn)
            assert words <= of_turns[turn] + 1e-3
    # "sie" is a question of the cat.
    assert first["turn_weights"][1][1] > 0.1
    tokenized = run_nmt("align", hierarchical, source, target, "--format", "json", "--tokenized")
    assert json.loads(tokenized.stdout.splitlines()[0])["turns"] == first["turns"]
    picture = tmp_path / "a.png"
    assert run_nmt("align", hierarchical, source, target, "-o", picture).returncode == 0
    assert len(list(tmp_path.glob("a-*.png"))) == 2


def test_a_flat_model_without_turns_says_nothing_of_turns(tiny_model: Path, run_nmt: RunNmt, tmp_path: Path) -> None:
    (tmp_path / "a.de").write_text("Der Hund\tschläft.\n", encoding="utf-8")
    (tmp_path / "a.en").write_text("The dog\tsleeps.\n", encoding="utf-8")
    done = run_nmt("align", tiny_model, tmp_path / "a.de", tmp_path / "a.en", "--format", "json")
    row = json.loads(done.stdout)
    assert row["target"] == ["The", "dog", "sleeps."]
    assert "turns" not in row


@pytest.mark.extension("lecture")
def test_inspection_reads_a_dialogue_with_its_separators(train: TrainTiny) -> None:
    """A dialogue of 11 source tokens in three turns is a sequence with two separators, and EOS."""
    from nmt.extensions.lecture.gradients import gradient_norms

    line, answer = "I see the cat.\tYes.\tIs it old?", "Ich sehe sie.\tIst sie alt?"
    norms = gradient_norms(load(train("training.max_steps=1", *FLAT), "cpu"), [(line, answer)] * 10, "flat")
    assert len(norms.mean_T) == 11 + 2 + 1


def test_a_vocabulary_without_a_separator_is_refused(train: TrainTiny) -> None:
    plain = train("training.max_steps=1", "data.history_turns=null")
    with pytest.raises(
        UserError, match=r"data\.history_turns is set, but the vocabulary.*\n.*data\.history_turns=null"
    ):
        train(f"vocabulary.path={plain}")
