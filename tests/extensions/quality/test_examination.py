"""Translations with problems are searched again, and the candidate with the fewest problems is kept."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from torch import Tensor

from nmt.data.dialogue import LineReader
from nmt.data.vocabulary.words import WordVocabulary
from nmt.decoding.hypotheses import SearchBatch
from nmt.decoding.processors import LogitsProcessor
from nmt.recipe.schema import VocabularyOptions
from nmt.translation.examiner import Examiner
from nmt.translation.load import load
from nmt.translation.options import TranslationOptions
from nmt.translation.request import Request
from nmt.translation.results import Translation
from nmt.translation.translator import Translator

SOURCE = "Heute trinkt die Katze kaltes Wasser."


class _Spoiled(LogitsProcessor):
    """Makes the first search, of narrow beams, choose a word."""

    def __init__(self, token: int) -> None:
        self._token = token

    def __call__(self, logits_NV: Tensor, tokens_Nt: Tensor, sentence_N: Tensor, batch: SearchBatch) -> None:
        if batch.options.beam_size < 8 and tokens_Nt.shape[1] == 3:
            logits_NV[:, self._token] += 30


def test_a_failed_check_is_repaired(translator: Translator) -> None:
    spoil = _Spoiled(translator.vocabularies.target.encode("dog")[0])
    lines = [SOURCE, "", SOURCE]
    failed = translator.translate(lines, check=True, processors=[spoil], beam_size=2)
    assert all("dog" in each.text and each.problems for each in (failed[0], failed[2]))
    repaired = translator.translate(lines, check="repair", processors=[spoil], beam_size=2)
    right = "Today the cat drinks cold water."
    assert [each.text for each in repaired] == [right, "", right]
    assert [(each.problems, each.repaired) for each in repaired] == [({}, True), ({}, False), ({}, True)]
    assert [candidate.text for candidate in repaired[0].n_best] == [repaired[0].text]


def test_terms_are_expected_and_kept(translator: Translator) -> None:
    found = translator.translate(Request(SOURCE, terms={"Wasser": "dog"}), check="repair")
    assert "dog" in found.text.split()
    assert "dog" not in found.problems.get("unsupported", []), "the model itself would choose another word"
    text = replace(found, terms={"Hund": "dog"}, fields={})
    [of_others] = Examiner(translator, TranslationOptions().changed(check=True))([text])
    assert "dog" in of_others.problems["unsupported"], "no term of the source"


def test_sentences_that_were_dropped_are_translated(translator: Translator) -> None:
    short = {"max_length": 8}  # tokens, so that no search of both sentences has them all
    [failed] = translator.translate([f"{SOURCE} {SOURCE}"], check=True, **short)
    assert failed.problems["sentences"] == 1
    [repaired, required] = translator.translate(
        [f"{SOURCE} {SOURCE}", Request(f"{SOURCE} {SOURCE}", prefix="Today")], check="repair", **short
    )
    assert repaired.text == "Today the cat drinks cold water. Today the cat drinks cold water."
    assert repaired.repaired
    assert "sentences" not in repaired.problems
    assert required.problems["sentences"] == 1  # the prefix is that of one sentence only


def test_sound_translations_stay(translator: Translator) -> None:
    plain = translator.translate([SOURCE], with_alignment=True)
    checked = translator.translate([SOURCE], check="repair", with_alignment=True)
    assert checked[0].to_json() == plain[0].to_json() | {"problems": {}, "repaired": False}


def test_a_tag_is_no_part_of_the_source() -> None:
    """The digit of a tag such as <2en> isn't lost."""
    lines = ["<2en> <2de> Hund 17", "Hund"]
    vocabulary = WordVocabulary.learn(lines, VocabularyOptions(type="word"), ["<2en>", "<2de>"], "")
    task, vocabularies = SimpleNamespace(reader=LineReader(history_turns=1)), SimpleNamespace(source=vocabulary)
    without_attention: Any = SimpleNamespace(has_attention=False, vocabularies=vocabularies, task=task)
    examine = Examiner(without_attention, TranslationOptions().changed(check=True))
    [of_dialogue] = examine([Translation("Hund 17\tHund", "Dog", 0.0, [])])
    assert of_dialogue.problems == {}, "the turns before aren't translated"
    texts = {"<2en> Hund 17": "Dog 17", "<2en> <2de> Hund 2": "Dog", "<2fr> Hund": "Dog"}
    found = [each.problems for each in examine([Translation(*pair, 0.0, []) for pair in texts.items()])]
    assert found[0] == {}
    assert found[1] == {"numbers": {"lost": ["2"], "added": []}}
    assert found[2] == {"numbers": {"lost": ["2"], "added": []}}  # no tag of this model


def test_without_attention_the_text_is_checked(vanilla_model: Path) -> None:
    found = load(vanilla_model, "cpu").translate("Der Hund schläft 17.", check="repair")
    assert "numbers" in found.problems
