"""The quality that is expected of a text, and ``nmt plan``."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from fixture_types import RunNmt
from refusals import refused

from nmt.autotrain.prepared import Request
from nmt.autotrain.texts import Texts
from nmt.core.errors import UserError
from nmt.data.vocabulary.files import Vocabularies, train_vocabularies
from nmt.extensions.planning.cli import show_plan
from nmt.extensions.planning.quality import TextProfile, _phrases, error_of, expected_chrf
from nmt.recipe.load import load_recipe
from nmt.recipe.schema import VocabularyOptions

PROFILE = TextProfile(20_000, 20.0, 30.0, 50.0)


def test_a_text_is_as_easy_as_its_translation_piece_by_piece() -> None:
    """Each word has one translation, or half of them have one of ten at random."""
    words = [f"w{n}" for n in range(20)]
    draw = random.Random(1)
    sources = [draw.sample(words, 6) for _ in range(400)]

    def profile(translated: Callable[[str], str]) -> TextProfile:
        pairs = [(" ".join(source), " ".join(map(translated, source))) for source in sources]
        vocabularies = train_vocabularies(VocabularyOptions(type="word", size=300), pairs)
        return TextProfile.read(Texts(pairs[:360], test=pairs[360:]), vocabularies)

    easy = profile(lambda word: word.replace("w", "word_"))
    assert easy == TextProfile(360, 6, 6, 100)
    assert profile(lambda word: word if word < "w2" else f"{word}_{draw.randrange(10)}").lexical < 80


def test_a_small_test_set_makes_the_estimate_less_certain() -> None:
    """Half of the 95 % interval of 1,000 sentences is about 1.5 chrF, that of 100 sentences about 5."""
    errors = [error_of(Texts(test=[("a", "b")] * size)) for size in (10**9, 1000, 100, 2)]
    assert errors == sorted(errors)
    assert errors[:3] == pytest.approx([5.5, 5.72, 7.43], abs=0.01)


def test_a_piece_may_be_translated_by_several() -> None:
    """As an English word is by two or three syllables of Vietnamese."""
    words = [f"w{n}" for n in range(20)]
    draw = random.Random(1)
    sources = [draw.sample(words, 4) for _ in range(400)]
    pairs = [(" ".join(source), " ".join(f"{word}_a {word}_b" for word in source)) for source in sources]
    vocabularies = train_vocabularies(VocabularyOptions(type="word", size=300), pairs)
    assert TextProfile.read(Texts(pairs[:360], test=pairs[360:]), vocabularies) == TextProfile(360, 8, 8, 100)


def test_a_phrase_is_translated_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The form of a verb depends on the noun after it."""
    draw = random.Random(1)
    drawn = [(f"v{draw.randrange(4)}", draw.randrange(9)) for _ in range(600)]
    pairs = [(f"{verb} n{noun}", f"{verb}_form_{noun % 3} N{noun}") for verb, noun in drawn]
    vocabularies = train_vocabularies(VocabularyOptions(type="word", size=300), pairs)
    texts = Texts(pairs[:500], test=pairs[500:])
    assert TextProfile.read(texts, vocabularies).lexical == 100
    monkeypatch.setattr("nmt.extensions.planning.quality.LONGEST", 1)
    assert TextProfile.read(texts, vocabularies).lexical < 95


def test_the_length_is_that_of_the_held_out_target_that_a_piece_is_in() -> None:
    pairs = [("a b c", "x y")] * 60
    vocabularies = train_vocabularies(VocabularyOptions(type="word", size=300), pairs)
    texts = Texts(pairs, valid=pairs, test=[("a", "x"), ("a b c", "x y x y x")])
    profile = TextProfile.read(replace(texts, synthetic=pairs), vocabularies)
    assert (profile.num_pairs, profile.num_tokens) == (120, 2)
    assert profile.length == pytest.approx((1 * 1 + 5 * 5) / 6)


def test_of_many_short_pairs_only_some_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pair takes time, however short it is."""
    pairs = [("a", "x")] * 600
    vocabularies = train_vocabularies(VocabularyOptions(type="word", size=300), pairs)
    monkeypatch.setattr("nmt.extensions.planning.quality.MAX_LINKS", 64 * 20)
    with patch("nmt.extensions.planning.quality._phrases", wraps=_phrases) as spy:
        assert TextProfile.read(Texts(pairs, test=pairs), vocabularies).num_pairs == 600
    assert len(spy.call_args.args[0]) == 20


@pytest.mark.parametrize("pairs", [[("a", "b")], [("", "a"), ("a", "")] * 30, [("a b", "c")] * 3])
@pytest.mark.parametrize("joint", [True, False])
def test_the_smallest_texts_have_a_profile(pairs: list[tuple[str, str]], joint: bool) -> None:
    vocabularies = train_vocabularies(VocabularyOptions(type="word", joint=joint), [*pairs, ("new", "words here")])
    profile = TextProfile.read(Texts(pairs, valid=pairs), vocabularies)
    assert profile.num_pairs == len(pairs)
    assert 0 <= expected_chrf(profile, 100) <= 100


def test_more_updates_and_easier_text_are_better() -> None:
    scores = [expected_chrf(PROFILE, n) for n in (100, 1000, 10_000, 10**6)]
    assert scores == sorted(scores)
    assert 0 < scores[0] < scores[-1] < 100
    for harder in (replace(PROFILE, lexical=40), replace(PROFILE, num_pairs=2000), replace(PROFILE, length=40)):
        assert expected_chrf(harder, 1000) < scores[1]
    assert expected_chrf(PROFILE, 1000, "adam") < scores[1]
    assert expected_chrf(TextProfile(10**9, 500.0, 1.0, 100.0), 10**9) <= 100
    assert expected_chrf(TextProfile(1, 1.0, 500.0, 0.0), 1) >= 0


@pytest.mark.slow
def test_the_command_estimates_and_writes_a_recipe(tiny_corpus: Path, run_nmt: RunNmt, tmp_path: Path) -> None:
    for name in ("de", "en"):  # synthetic text
        (tmp_path / f"train.{name}").write_text(f"{name}\n", "utf-8")
    given = [tiny_corpus / "train.de", tiny_corpus / "train.en", tmp_path, "--minutes", "5"]
    done = run_nmt("plan", *given, "--json", "-o", tmp_path / "plan.yaml", check=True)
    plan = json.loads(done.stdout)
    assert plan["minutes"] == [5]
    assert {row["optimizer"] for row in plan["rows"]} == {"adam", "muon"}
    assert all(0 < row["chrf"][0] < 100 and row["update"] > 0 for row in plan["rows"])
    recipe = load_recipe(tmp_path / "plan.yaml")
    assert (recipe.data.source, recipe.data.target) == ("de", "en")
    run_nmt("train", tmp_path / "plan.yaml", "-o", tmp_path / "run", "--set", "training.max_steps=3", check=True)


def test_a_plan_takes_the_place_of_a_former_one(tiny_corpus: Path, tmp_path: Path) -> None:
    files, output = [tiny_corpus / "train.de", tiny_corpus / "train.en"], tmp_path / "plan.yaml"
    for joint in (False, True):
        with patch("nmt.autotrain.prepared.measure_speed", return_value=(0.1, 0.01)):
            show_plan(Request(files, 5.0, {"vocabulary.joint": joint}), output)
        assert load_recipe(output).vocabulary.joint == joint
        assert Vocabularies.load(tmp_path / "plan.yaml.text").joint == joint
    (tmp_path / "new").mkdir()
    assert (tmp_path / "plan.yaml.text").stat().st_mode == (tmp_path / "new").stat().st_mode, "others may read it"


def test_it_is_said_that_no_quality_is_expected_of_a_fine_tuned_model(
    tiny_corpus: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with patch("nmt.autotrain.prepared.measure_speed", return_value=(0.1, 0.01)):
        show_plan(Request([tiny_corpus / "train.de", tiny_corpus / "train.en"], 5.0, start=tiny_model))
    assert "No quality is shown" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "plan.yaml"], "Give --minutes"),
        (["--minutes", "0.4"], "minutes"),
        (["--minutes", "1e308"], "less than or equal to 527040"),
        (["--set", "nothing"], "has no '='"),
    ],
)
def test_a_plan_that_cannot_be_made_is_refused(
    tiny_corpus: Path, run_nmt: RunNmt, arguments: list[str], message: str
) -> None:
    refused(run_nmt("plan", tiny_corpus / "train.de", tiny_corpus / "train.en", *arguments), message)


def test_a_plan_is_not_written_over_its_text(tmp_path: Path) -> None:
    folder = tmp_path / "plan.text"
    folder.mkdir()
    files = [folder / "text.de", folder / "text.en"]
    for file in files:
        file.write_text(f"{file.suffix}\n", "utf-8")
    with pytest.raises(UserError, match="it is an input, which would be lost"):
        show_plan(Request(files, 5.0), files[1])
    assert not (folder / "text.en.text").exists()
    for texts in (files, [folder]):  # such as the text of a former plan
        with pytest.raises(UserError, match="has the text that was given, and would be written"):
            show_plan(Request(texts, 5.0), tmp_path / "plan")


def test_a_file_in_the_place_of_the_text_of_a_plan_is_named(tmp_path: Path, tiny_corpus: Path) -> None:
    (tmp_path / "plan.yaml.text").touch()
    with pytest.raises(UserError, match=r"plan\.yaml\.text exists already"):
        show_plan(Request([tiny_corpus / "train.de", tiny_corpus / "train.en"], 5.0), tmp_path / "plan.yaml")
