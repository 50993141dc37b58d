"""Lines in capitals and titles become ordinary text, and their translations are written like them."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from fixture_types import TrainTiny
from run_files import read_metrics

import nmt
from nmt.data.sources import GivenText
from nmt.data.vocabulary.files import train_vocabularies
from nmt.data.words import Words
from nmt.extensions.letter_case.restorer import CaseRestorer, as_title
from nmt.recipe.schema import VocabularyOptions
from nmt.translation.request import OutputConstraints, Request
from nmt.translation.results import Candidate, Translation

NOUNS = ("Hund", "Katze", "Straße", "Decke", "Mann", "Frau", "Kind", "Garten")
TEXT = [
    f"Ein {adjective} {noun} schläft mit der {other} in den USA auf der {noun}."
    for adjective, noun, other in product(("müder", "weißen", "großer", "kleiner"), NOUNS, NOUNS)
] + ["Der Hund liegt auf einer weißen Decke."] * 9
SIZES = {"unigram": 54, "bpe": 110, "word": 100}


@pytest.fixture(scope="module", params=SIZES)
def restorer(request: pytest.FixtureRequest) -> CaseRestorer:
    options = VocabularyOptions(type=request.param, size=SIZES[request.param])
    text = GivenText([(line, line) for line in TEXT], "pairs")
    return CaseRestorer(train_vocabularies(options, text, tags=["<2en>"]).source, "en")


@pytest.mark.parametrize(
    ("line", "ordinary"),
    [
        ("DER HUND SCHLÄFT AUF DER STRASSE.", "Der Hund schläft auf der Straße."),
        ("EIN HUND IN DEN USA. DER HUND SCHLÄFT.", "Ein Hund in den USA. Der Hund schläft."),
        ("<2en> DER HUND AUF DER WEISSEN DECKE", "<2en> Der Hund auf der weißen Decke"),
        ("HUND", "Hund"),
        ("Der Müder Hund Schläft Auf Der Straße", "Der müder Hund schläft auf der Straße"),
        ("Der Hund", "Der Hund"),
        ("der Hund", "der Hund"),
        ("USA", "USA"),
        ("Der Müder Hund {Name} Schläft", "Der Müder Hund {Name} Schläft"),
        ("DER HUND `X_Y`", "DER HUND `X_Y`"),
        ("17 ... 犬", "17 ... 犬"),
        ("", ""),
    ],
)
def test_a_line_gets_the_case_of_ordinary_text(restorer: CaseRestorer, line: str, ordinary: str) -> None:
    assert restorer.changed(Request(line)).source == ordinary


def test_a_line_with_constraints_stays(restorer: CaseRestorer) -> None:
    for given in (Request("DER HUND", prefix="The"), Request("DER HUND", must_contain=("dog",))):
        assert restorer.changed(given) is given


def test_all_candidates_are_written_like_the_line(restorer: CaseRestorer) -> None:
    for line, text in (("DER HUND SCHLÄFT", "A DOG"), ("Der Hund Schläft", "A Dog"), ("Der Hund schläft", "A dog")):
        request = Request(line)
        found = Translation(restorer.changed(request).source, "A dog", 0.0, [], [Candidate("A dog", 0.0, [])])
        restored = restorer.restored(request, found)
        assert (restored.source, restored.text, restored.n_best[0].text) == (line, text, text)
    labels = CaseRestorer(restorer._vocabulary, "label", has_labels=True)
    assert labels.restored(Request("DER HUND SCHLÄFT"), replace(found, source="der Hund schläft")).text == "A dog"
    assert as_title('a (small) dog\'s "nose"') == 'A (Small) Dog\'s "Nose"'


def test_a_model_reads_capitals_unless_it_is_told_not_to(tiny_model: Path) -> None:
    translator = nmt.load(tiny_model, "cpu")
    line = (translator.recipe.data.root / "train.de").read_text("utf-8").splitlines()[0]  # type: ignore[operator]
    ordinary = translator(line)
    restored = translator(line.upper(), with_alignment=True)
    assert restored.text == ordinary.text.upper()
    assert restored.source == line.upper()
    assert restored.alignment == translator(line, with_alignment=True).alignment
    assert translator(line.upper(), restore_case=False).text != restored.text
    forbidden = OutputConstraints(forbid=[ordinary.text.split()[-1].upper()])
    assert translator(line.upper(), constraints=forbidden).text == ordinary.text
    assert translator(line.upper(), constraints=forbidden).source == line.upper()


@pytest.mark.parametrize("line", ["İ STANBUL.", "🇳İ\U000e0065.", "ŉ DER HUND İŞ."])
def test_a_line_keeps_its_number_of_words(restorer: CaseRestorer, line: str) -> None:
    ordinary = restorer.changed(Request(line)).source
    assert len(Words.split_punctuation(ordinary).words) == len(Words.split_punctuation(line).words)


@pytest.mark.parametrize("text", ["eine ΐ straße", "ŉ haus", "İstanbul"])
def test_capitals_keep_the_number_of_words(restorer: CaseRestorer, text: str) -> None:
    request = Request("DER HUND SCHLÄFT")
    found = Translation(restorer.changed(request).source, text, 0.0, [], [Candidate(text, 0.0, [])])
    written = restorer.restored(request, found).text
    assert written != text
    assert len(Words.split_punctuation(written).words) == len(Words.split_punctuation(text).words)


def test_validation_reads_capitals_as_they_are(train_tiny: TrainTiny, tiny_corpus: Path, tmp_path: Path) -> None:
    """As the guide says, its score is that of translations without restored case."""
    pairs = [(tiny_corpus / f"train.{side}").read_text("utf-8").upper().splitlines()[:20] for side in ("de", "en")]
    for side, lines in zip(("de", "en"), pairs, strict=True):
        (tmp_path / f"capitals.{side}").write_text("\n".join(lines), "utf-8")
    files = f"{{source: {tmp_path}/capitals.de, target: {tmp_path}/capitals.en}}"
    run = train_tiny("training.max_steps=60", f"data.valid={files}", "training.metric=chrf")
    last, model = read_metrics(run, "valid")[-1], nmt.load(run)
    scores = [
        nmt.score([each.text for each in model.translate(pairs[0], restore_case=restore)], pairs[1])["chrf"].score
        for restore in (False, True)
    ]
    assert scores[0] == pytest.approx(last["chrf"], abs=1e-4) != pytest.approx(scores[1], abs=1)
