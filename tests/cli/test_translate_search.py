"""The options of ``nmt translate`` that say how to search, as a user sees them."""

import json
import subprocess
from pathlib import Path

import pytest
import torch
from fixture_types import RunNmt
from refusals import refused
from torch import Tensor

import nmt
from nmt.alignment.heads import AlignmentHeads
from nmt.decoding.hypotheses import SearchBatch
from nmt.decoding.processors import LogitsProcessor
from nmt.translation.request import OutputConstraints, Request

SOURCE = "Der Hund schläft im Garten.\nDie Katze trinkt kaltes Wasser.\n"


def lines(done: "subprocess.CompletedProcess[str]") -> list[str]:
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_an_ensemble_of_a_model_with_itself_is_that_model(translate: RunNmt, tiny_model: Path) -> None:
    alone = lines(translate("--scores", stdin=SOURCE))
    together = lines(translate("--scores", "--ensemble", tiny_model, stdin=SOURCE))
    assert [line.split("\t")[1] for line in together] == [line.split("\t")[1] for line in alone]


def test_an_ensemble_has_one_direction(tiny_model: Path, own_model: Path) -> None:
    recipe = (own_model / "recipe.yaml").read_text("utf-8")
    reverse = recipe.replace("source: de\n  target: en", "source: en\n  target: de")
    (own_model / "recipe.yaml").write_text(reverse, "utf-8")
    with pytest.raises(nmt.UserError, match="translates in the other direction"):
        nmt.load(tiny_model, "cpu", ensemble=own_model)


def test_an_ensemble_needs_one_vocabulary(translate: RunNmt, bytes_model: Path) -> None:
    done = translate("--ensemble", bytes_model, stdin=SOURCE)
    refused(done, "another vocabulary", "vocabulary.path")


def test_a_second_model_is_named_by_its_option(translate: RunNmt, tiny_model: Path, tmp_path: Path) -> None:
    refused(translate(tiny_model, "-o", tmp_path / "new", stdin=SOURCE), "is a model, not text", "see --ensemble")


def test_a_sentence_in_place_of_a_file_is_told_how_it_is_given(translate: RunNmt) -> None:
    refused(translate("Ein Hund schläft. " * 20), "File not found: Ein Hund", "type a sentence")


def test_an_ensemble_has_one_task(translate: RunNmt, language_model: Path) -> None:
    done = translate("--ensemble", language_model, stdin=SOURCE)
    refused(done, "language_model, and that of", "translation")


def test_a_logits_processor_is_named_once(run_nmt: RunNmt) -> None:
    given = [text for word in "ab" for text in ("--logits-processor", f"forbid_phrases: {{phrases: [{word}]}}")]
    refused(run_nmt("translate", "nowhere", *given), "forbid_phrases twice")


@pytest.mark.extension("terms")
def test_constraints_come_with_the_lines(translate: RunNmt) -> None:
    asked = [
        {"source": "Der Hund schläft im Garten.", "prefix": "Today"},
        {"source": "Die Katze trinkt kaltes Wasser.", "must_contain": ["the moon"]},
        {"source": "", "terms": {"Hund": "hound"}},
        {"source": "Das Kind hört ein altes Lied."},
    ]
    given = "".join(json.dumps(request, ensure_ascii=False) + "\n" for request in asked)
    prefix, phrase, empty, free = lines(translate("--input-format", "jsonl", stdin=given))
    assert prefix.startswith("Today")
    assert "the moon" in phrase
    assert empty == ""
    assert [free] == lines(translate(stdin="Das Kind hört ein altes Lied.\n"))


@pytest.mark.extension("terms")
def test_a_glossary(translate: RunNmt, tmp_path: Path) -> None:
    line = "Der Hund schläft im Garten."
    [free] = lines(translate(stdin=f"{line}\n"))
    (tmp_path / "terms.tsv").write_text("Hund\tbloodhound\nMond\tsun\n", "utf-8")
    given = "--glossary", tmp_path / "terms.tsv"
    assert lines(translate(*given, stdin=f"{line}\n")) == [free.replace("dog", "bloodhound")]
    assert "dog" in free
    own = json.dumps({"source": line, "terms": {"Hund": "hound"}})
    assert lines(translate(*given, "--input-format", "jsonl", stdin=own + "\n")) == [free.replace("dog", "hound")]


@pytest.mark.parametrize(
    "line", ["Der Hund.", '{"text": "x"}', "[1]", '{"source": 1}', '{"source": "", "must_contain": "x"}']
)
def test_a_line_that_is_no_request_is_named(translate: RunNmt, line: str) -> None:
    done = translate("--input-format", "jsonl", stdin='{"source": "Ja."}\n' + line + "\n")
    refused(done, "line 2")


def test_what_jsonl_wrote_can_be_read_again(translate: RunNmt) -> None:
    written = translate("--format", "jsonl", stdin=SOURCE)
    again = translate("--format", "jsonl", "--input-format", "jsonl", stdin=written.stdout)
    assert lines(again) == lines(written)


def test_a_forbidden_phrase_is_avoided(translate: RunNmt) -> None:
    (before,) = lines(translate(stdin="Der Hund schläft im Garten.\n"))
    assert "the garden" in before
    (after,) = lines(translate("--forbid", "the garden", stdin="Der Hund schläft im Garten.\n"))
    assert "the garden" not in after


@pytest.mark.extension("terms")
def test_a_forbidden_phrase_is_avoided_for_a_term(tiny_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    request = Request("Der Hund schläft im Garten.", terms={"Garten": "park"})
    options = {"constraints": OutputConstraints(forbid=["park"])}
    (found,) = nmt.load(tiny_model, "cpu").stream([request], **options)
    assert "park" not in found.text
    options = {"n_best": 3, "constraints": OutputConstraints()}
    (found,) = nmt.load(tiny_model, "cpu").stream([request], **options)
    assert "park" in found.text
    assert len(found.n_best) == 3
    assert "'park' has no place in the translation" in capfd.readouterr().err


def test_soft_hyphens_and_lines_without_text(tiny_model: Path) -> None:
    translator = nmt.load(tiny_model, "cpu")
    plain = "Der Hund schläft im Garten."
    given = [plain, plain.replace("un", "u\u00adn").replace("ar", "a\u2060r"), "\u00ad\ufeff", "\x85"]
    first, second, *empty = (each.text for each in translator.translate(given))
    assert first == second
    assert empty == ["", ""]


def test_a_constraint_that_cannot_be_met_is_a_warning(tiny_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    translator = nmt.load(tiny_model, "cpu")
    (found,) = translator.translate([Request("Der Hund schläft.", must_contain=("Zweiundvierzig",))])
    assert found.text
    assert "line 1: 'Zweiundvierzig' could not be made part" in capfd.readouterr().err
    translator.translate([Request("Der Hund schläft.", prefix=prefix) for prefix in ("\u2603 the", "the  dog")])
    warnings = capfd.readouterr().err
    assert "line 1: the translation does not begin with" in warnings
    assert "line 2" not in warnings


class UnknownAt(LogitsProcessor):
    """Makes some tokens of every translation UNK."""

    def __call__(self, logits_NV: Tensor, tokens_Nt: Tensor, sentence_N: Tensor, batch: SearchBatch) -> None:
        if tokens_Nt.shape[1] - 1 in self.options:
            logits_NV[:, batch.target.unk] += 1000


@pytest.mark.parametrize("step", ["output", "input"])
def test_an_unknown_word_is_replaced_by_the_source_word_with_the_highest_weight(tiny_model: Path, step: str) -> None:
    """The weights come from the decoder, step by step: those of the step that predicts UNK, or that reads it."""
    translator, line = nmt.load(tiny_model, "cpu"), "Der Hund schläft im Garten ."
    model, target = translator.model, translator.vocabularies.target
    translator.aligner.heads = AlignmentHeads.of(model.decoder, None, step)
    constraints = OutputConstraints(replace_unknown=True, unknown_lexicon={"hund": "DOG"})
    replaced = []
    for position in range(6):
        unknown = UnknownAt([position], translator.vocabularies)
        (found,) = translator.translate([line], beam_size=1, constraints=constraints, processors=[unknown])
        ids = [target.unk if token == "<unk>" else target.encode(token)[0] for token in found.tokens]
        state = model.start(torch.tensor([[*translator.encode_source(line), target.eos]]), torch.tensor([7]))
        for token in [target.sos, *ids][: position + (2 if step == "input" else 1)]:
            output = model.step(torch.tensor([token]), state, need_weights=True)
            state = output.state
        word = line.split()[int(output.weights_NHS[0].mean(0)[:-1].argmax())]
        replaced.append({"Hund": "DOG"}.get(word, word))
        assert found.text.replace(".", " .").split()[position] == replaced[-1]
    assert len(set(replaced)) > 1


def test_unknown_words_need_attention(run_nmt: RunNmt, vanilla_model: Path) -> None:
    refused(run_nmt("translate", vanilla_model, "--replace-unknown", stdin=SOURCE), "without attention")
