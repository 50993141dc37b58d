"""Several corpora in one run: shares by weight, stages, resuming, tags, the sample for the vocabulary, bad input."""

import itertools
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixture_types import RecipeMaker, RunNmt, TrainTiny
from numpy.testing import assert_allclose
from refusals import refused
from run_files import read_metrics

import nmt
from nmt.core.errors import UserError
from nmt.data.batching import BatchStream, TrainingBatches
from nmt.data.cache import encode_corpus
from nmt.data.sources import FileText, GivenText, ReadText
from nmt.data.vocabulary.files import Vocabularies, train_vocabularies
from nmt.extensions.corpora.mixing import InterleavedBatches
from nmt.recipe.schema import StageOptions, VocabularyOptions
from nmt.training.data import Sample, prepare_data
from nmt.training.run import train


def corpus(folder: Path, name: str = "all", source: str = "de", target: str = "en", **options: Any) -> dict[str, Any]:
    """The entry of the tiny corpus in ``data.corpora``."""
    files = {"source": str(folder / f"train.{source}"), "target": str(folder / f"train.{target}")}
    return {"name": name, **files, **options}


STAGES = [
    StageOptions(name="start", corpora={"a": 3, "b": 1}, until="b 1"),
    StageOptions(name="middle", corpora={"c": 1.5, "b": 0.5, "a": 1}, until="c 2"),
    StageOptions(name="end", corpora={"b": 1}),
]


@pytest.fixture
def stream(tmp_path: Path) -> Callable[..., InterleavedBatches]:
    """Of three corpora of uneven lengths and sizes."""
    rng, texts = np.random.default_rng(0), {}
    for name, size in (("a", 300), ("b", 80), ("c", 30)):
        words = [f"{name}{number}" for number in range(size)]
        for language in ("de", "en"):
            lines = [" ".join([word] * rng.integers(1, 12)) for word in words]
            (tmp_path / f"{name}.{language}").write_text("".join(f"{line}\n" for line in lines))
        texts[name] = FileText(tmp_path / f"{name}.de", tmp_path / f"{name}.en")
    vocabularies = train_vocabularies(VocabularyOptions(type="word"), itertools.chain(*texts.values()))
    encoded = {name: encode_corpus(text, vocabularies, 99) for name, text in texts.items()}

    def make(stages: Sequence[StageOptions] = STAGES, **options: Any) -> InterleavedBatches:
        corpora = {
            name: TrainingBatches(each, vocabularies, 60, seed) for seed, (name, each) in enumerate(encoded.items())
        }
        return InterleavedBatches(corpora, stages, **options)

    return make


def take(batches: BatchStream, count: int) -> list[list[list[int]]]:
    return [batch.source_BS.tolist() for batch in itertools.islice(batches, count)]


def shares_of(batches: InterleavedBatches, count: int) -> dict[str, float]:
    """The share of the target tokens that each corpus has in the next batches."""
    vocabulary = next(iter(batches._corpora.values()))._vocabularies.source
    tokens: Counter[str] = Counter()
    for batch in itertools.islice(batches, count):
        tokens[vocabulary.token(int(batch.source_BS[0, 0]))[1]] += batch.num_target_tokens
    return {name: each / tokens.total() for name, each in tokens.items()}


def test_corpora_divide_the_few_shapes_of_a_run(stream: Any) -> None:
    batches = stream()
    shapes = {batch.shape for batch in batches.use_few_shapes(24)}
    assert 8 < len(shapes) <= 24
    assert {batch.shape for batch in itertools.islice(batches, 300)} <= shapes


def test_a_stage_counts_its_shares_anew(stream: Any) -> None:
    """Otherwise it would make up for the other weights of the stage before."""
    stages = [
        StageOptions(name="first", corpora={"a": 9, "b": 1}, until="a 3"),
        StageOptions(name="second", corpora={"a": 1, "b": 1}),
    ]
    batches = stream(stages)
    while batches.stage == "first":
        batches.advance()
    shares = shares_of(batches, 60)
    assert abs(shares["a"] - 0.5) < 0.03


def test_the_order_is_that_of_the_formula(stream: Any) -> None:
    """With equal batches: (tokens + 1) / weight is compared before each, and the first of equals is taken."""
    weights, tokens, expected = {"a": 2.0, "b": 1.0}, {"a": 0, "b": 0}, []
    batches = stream([StageOptions(name="all", corpora=weights)])
    copies = {name: iter(stream([StageOptions(name=name, corpora={name: 1.0})])) for name in weights}
    for _ in range(40):
        name = min(weights, key=lambda name: (tokens[name] + 1) / weights[name])
        batch = next(copies[name])
        tokens[name] += batch.num_target_tokens
        expected.append(batch.source_BS.tolist())
    assert take(batches, 40) == expected


def test_a_stage_ends_when_its_corpus_has_been_read_so_often_since_it_began(stream: Any) -> None:
    """Every pair of ``c`` comes twice in the second stage, although the stage begins in the middle of an epoch of b."""
    batches, seen, stages = stream(), Counter[int](), []
    for _ in range(400):
        stages.append(batches.stage)
        if batches.stage == "middle" and batches._next() == "c":
            seen.update(row[0] for row in batches.make_next().source_BS.tolist())
        batches.advance()
    assert [stage for stage, _ in itertools.groupby(stages)] == ["start", "middle", "end"]
    assert set(seen.values()) == {2}
    assert len(seen) == 30
    assert not batches.is_over


def test_the_run_is_over_with_the_last_stage(stream: Any) -> None:
    batches, again = (stream([StageOptions(name="only", corpora={"c": 1.0}, until="c 2")]) for _ in range(2))
    while not batches.is_over:
        batches.advance()
    assert batches._corpora["c"].place == (2, 0, 0)
    again.load_state_dict(json.loads(json.dumps(batches.state_dict())))
    assert again.is_over


@pytest.mark.quick("share1")
@pytest.mark.parametrize("share", [(0, 1), (1, 2)])
def test_a_resumed_stream_goes_on_wherever_it_stopped(stream: Any, share: tuple[int, int]) -> None:
    whole, stages = take(stream(share=share), 130), set()
    for stop in random.Random(1).sample(range(1, 110), 25):
        before = stream(share=share)
        take(before, stop)
        stages.add(before.stage)
        state = json.loads(json.dumps(before.state_dict()))
        resumed = stream(share=share)
        resumed.load_state_dict(state)
        assert (resumed.stage, resumed.epoch) == (before.stage, before.epoch)
        assert take(resumed, 20) == whole[stop : stop + 20]
    assert len(stages) == 3


def test_processes_share_the_batches_of_one(stream: Any) -> None:
    whole = take(stream(), 120)
    assert take(stream(share=(0, 2)), 60) == whole[::2]
    assert take(stream(share=(1, 2)), 60) == whole[1::2]


def test_a_thread_that_makes_batches_in_advance_changes_nothing(stream: Any) -> None:
    whole, batches = take(stream(), 120), stream().prefetch(torch.device("meta"))
    made = iter(batches)
    for number in range(100):
        assert next(made).source_BS.tolist() == whole[number]
        if number % 9 == 0:
            resumed = stream()
            resumed.load_state_dict(json.loads(json.dumps(batches.state_dict())))
            assert take(resumed, 3) == whole[number + 1 : number + 4]
    made.close()  # type: ignore[attr-defined]


def test_other_weights_hold_from_the_resume_on(stream: Any) -> None:
    before = stream([StageOptions(name="all", corpora={"a": 9, "b": 1})])
    take(before, 100)
    batches = stream([StageOptions(name="all", corpora={"a": 1, "b": 1})])
    batches.load_state_dict(before.state_dict())
    assert abs(shares_of(batches, 60)["a"] - 0.5) < 0.03


def test_a_corpus_that_is_new_begins_and_one_that_is_gone_is_told(
    stream: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    before = stream([StageOptions(name="all", corpora={"a": 1, "b": 1})])
    take(before, 30)
    state = before.state_dict()
    state["corpora"]["gone"] = state["corpora"].pop("c")
    batches = stream([StageOptions(name="all", corpora={"a": 1, "b": 1, "c": 1})])
    batches.load_state_dict(state)
    assert "data.corpora isn't what the run was started with: c, gone came or went" in " ".join(
        capsys.readouterr().err.split()
    )
    assert batches._corpora["c"].place == (0, 0, 0)
    assert batches._corpora["a"].place == before._corpora["a"].place
    batches.load_state_dict(state | {"stage": "renamed"})
    assert "lacks 'renamed', in which the run was" in " ".join(capsys.readouterr().err.split())
    stream([StageOptions(name="added", corpora={"a": 1})]).load_state_dict(state)
    assert "data.stages" not in capsys.readouterr().err, "a run without stages gets some"
    # From one corpus to several, and back.
    single = batches._corpora["a"]
    batches.load_state_dict(single.state_dict())
    single.load_state_dict(before.state_dict())


def numbered(name: str, size: int) -> GivenText:
    return GivenText([(f"{name} {i}", "x") for i in range(size)], name)


def test_the_sample_is_by_weight_and_the_same_again() -> None:
    texts, weights = [numbered("a", 9000), ReadText(numbered("b", 900), tag="<2b>"), numbered("c", 99)], [1, 1, 2]
    sample = Sample(texts, weights, seed=3)
    pairs = list(sample)
    counts = Counter(source.split()[0] for source, _ in pairs)
    assert_allclose([counts["a"], counts["b"], counts["c"]], [9999 / 4, 9999 / 4, 9999 / 2], rtol=0.05)
    assert pairs == list(sample) == list(Sample(texts, weights, seed=3))
    assert pairs != list(Sample(texts, weights, seed=4))
    assert len(list(Sample(texts, weights, limit=1000))) == pytest.approx(1000, rel=0.1)


@pytest.mark.parametrize(("kind", "size"), [("word", 200), ("unigram", 55), ("bpe", 55), ("character", 60)])
def test_tags_are_read_in_front_of_a_text_and_nowhere_else(
    kind: str, size: int, tiny_corpus: Path, tmp_path: Path
) -> None:
    text = FileText(tiny_corpus / "train.de", tiny_corpus / "train.en")
    options = VocabularyOptions(type=kind, size=size, joint=False)  # type: ignore[arg-type]
    train_vocabularies(options, text, tags=["<2de>", "<bt>"]).save(tmp_path)
    vocabularies = Vocabularies.load(tmp_path)
    assert not vocabularies.target.tags
    vocabulary, plain = vocabularies.source, "Der Hund schläft."
    ids, tag, other = vocabulary.encode(plain), vocabulary.tags["<2de>"], vocabulary.tags["<bt>"]
    for line in (f"<2de> {plain}", f"  <2de>{plain}", f"<2de>   {plain}"):
        assert vocabulary.encode(line) == [tag, *ids]
        begin = line.index("D")
        assert [(p.begin - begin, p.end - begin) for p in vocabulary.pieces(line)[1:]] == [
            (p.begin, p.end) for p in vocabulary.pieces(plain)
        ]
        assert line[slice(*vocabulary.pieces(line)[0][1:])] == "<2de>"
    assert vocabulary.encode(f"<2de> <bt> {plain}") == [tag, other, *ids]
    assert vocabulary.decode([tag, other, *ids]) == plain
    assert vocabulary.encode("<2de> <bt>") == [] == vocabulary.pieces(" <2de>")
    assert tag not in vocabulary.encode(f"{plain} <2de>")
    assert tag not in vocabulary.encode(f"<2en> <2de> {plain}")


def test_a_tag_with_the_name_of_a_special_piece_is_refused(tiny_corpus: Path) -> None:
    text = FileText(tiny_corpus / "train.de", tiny_corpus / "train.en")
    with pytest.raises(UserError, match=r"The tag </s> is a special piece.*\n."):
        train_vocabularies(VocabularyOptions(), text, tags=["</s>"])


def test_a_tag_is_in_front_of_the_current_turn_of_a_dialogue(tmp_path: Path, make_recipe: RecipeMaker) -> None:
    (tmp_path / "train.de").write_text("eins\tzwei\tdrei\n\tvier\n")
    (tmp_path / "train.en").write_text("one\ttwo\tthree\n\tfour\n")
    data = {"corpora": [corpus(tmp_path, tag="<2en>")], "history_turns": 1}
    [text], _ = nmt.training.data.open_texts(make_recipe(max_steps=1, recipe={"data": data}).data)
    assert list(text) == [("zwei\t<2en> drei", "three"), ("\t<2en> vier", "four")]


@pytest.fixture(scope="module")
def both_ways(tiny_corpus: Path, train_tiny: TrainTiny) -> Path:
    """A hardly trained model of two directions; nothing but the tag tells which one is wanted."""
    corpora = [corpus(tiny_corpus, "to-en", tag="<2en>"), corpus(tiny_corpus, "to-de", "en", "de", tag="<2de>")]
    settings = {"data.root": None, "data.valid": None, "data.corpora": corpora, "vocabulary.joint": True}
    settings |= {"training.max_steps": 1, "training.batch_tokens": 384}
    return train_tiny(*(f"{key}={json.dumps(value)}" for key, value in settings.items()))


@pytest.mark.extension("lexicon")
@pytest.mark.parametrize("split_punctuation", [False, True])
def test_a_tag_has_no_links(both_ways: Path, tiny_corpus: Path, split_punctuation: bool) -> None:
    """Its words count, as the line has them; with and without a lexicon, and in alignments of translations."""
    from nmt.extensions.lexicon.learning import learn_lexicon

    model = nmt.load(both_ways, "cpu")
    german, english = ((tiny_corpus / f"train.{side}").read_text("utf-8").splitlines() for side in ("de", "en"))
    pairs = [(f"<2en> {source}", target) for source, target in zip(german, english, strict=True)]
    first = 3 if split_punctuation else 1
    for lexicon_only in (False, False, True):
        found = list(model.align(pairs, split_punctuation=split_punctuation, lexicon_only=lexicon_only))
        assert all(each.links for each in found)
        for each in found:
            assert "".join(each.source[:first]) == "<2en>"
            assert not each.weights[:, :first].any()
            assert min(source for source, _ in each.links) >= first
            assert max(source for source, _ in each.links) < len(each.source)
        model.aligner.lexicon = learn_lexicon(found)
    with_links = model.stream([source for source, _ in pairs[:5]], with_alignment=True)
    assert all(min(link[0] for link in each.alignment or ()) >= 1 for each in with_links)


def test_a_tag_that_the_model_lacks_is_told_once(both_ways: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = nmt.load(both_ways, "cpu")
    for _ in range(2):
        model.translate(["<2de> dog", "<2fr> dog", "<2it> dog"])
    text = " ".join(capsys.readouterr().err.split())
    assert text.count("isn't a tag of the model") == 1
    assert "line 2 begins with <2fr>, which isn't a tag of the model: <2de>, <2en>." in text


def test_a_line_without_a_tag_is_told_once(both_ways: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = nmt.load(both_ways, "cpu")
    model.translate(["<2de> dog", "", "dog", "dog"])
    assert capsys.readouterr().err.split("\n")[0].endswith("line 3 begins with no tag of the model: <2de>, <2en>.")
    corpora = [model.recipe.data.corpora[0], model.recipe.data.corpora[1].model_copy(update={"tag": None})]
    data = model.recipe.data.model_copy(update={"corpora": corpora})
    model.replaced(recipe=model.recipe.model_copy(update={"data": data})).translate(["dog"])
    assert capsys.readouterr().err == "", "one of the training texts has no tag"


def test_an_unknown_word_is_never_replaced_by_a_tag(both_ways: Path, tiny_corpus: Path) -> None:
    model = nmt.load(both_ways, "cpu")
    line = (tiny_corpus / "train.de").read_text("utf-8").splitlines()[0]
    words = model.aligner.attended_words(f"<2en> {line}", model.encode_target("The dog sleeps in the garden."))
    assert not {"<", "2en", ">", ""} & set(words)


def test_one_corpus_trains_as_data_train_does(make_recipe: RecipeMaker, tiny_corpus: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"max_epochs": 2, "log_every": 1, "batch_tokens": 320}
    options["techniques"] = {"guided_alignment": {"links": "learned"}}
    recipe = {"vocabulary": {"type": "unigram", "size": 55, "joint": True}}
    listed = recipe | {"data": {"corpora": [corpus(tiny_corpus, weight=0.3)]}}
    train(make_recipe(**options, recipe=recipe), tmp_path / "plain")
    train(make_recipe(**options, recipe=listed), tmp_path / "listed")
    losses = [
        [(line["step"], line["loss"]) for line in read_metrics(tmp_path / name, "train")]
        for name in ("plain", "listed")
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) > 10
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("plain", "listed")]
    assert weights[0] == weights[1]


def test_stages_follow_each_other_and_training_ends_with_the_last_one(
    make_recipe: RecipeMaker, tiny_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Techniques and modifiers read each epoch otherwise."""
    back = corpus(tiny_corpus, "back", "en", "de", modifiers={"typos": 0.5})
    stages = [
        {"name": "one", "corpora": {"forward": 1}, "until": "forward 1"},
        {"name": "two", "corpora": {"forward": 1, "back": 3}, "until": "back 2"},
        {"name": "three", "corpora": {"forward": 2, "back": 1}, "until": "forward 1"},
    ]
    data = {"corpora": [corpus(tiny_corpus, "forward", weight=2), back], "stages": stages}
    techniques = {"subword_sampling": {"alpha": 0.2}, "reverse_pairs": {"fraction": 0.5}}
    recipe = {"data": data, "vocabulary": {"type": "unigram", "size": 90}}
    train(make_recipe(recipe=recipe, techniques=techniques, max_epochs=20, batch_tokens=200), tmp_path)
    begun = read_metrics(tmp_path, "stage")
    assert [line["stage"] for line in begun] == ["two", "three"]
    text = " ".join(capsys.readouterr().err.split())
    assert f"stage two begins after step {begun[0]['step']}" in text
    assert "the last one of data.stages has ended" in text
    state = json.loads((max((tmp_path / "checkpoints").glob("step-*")) / "state.json").read_text("utf-8"))
    assert state["batches"]["corpora"]["back"]["epoch"] >= 2


ENTRY = "{name: one, source: FOLDER/train.de, target: FOLDER/train.en}"
ONE = f"data.corpora=[{ENTRY}]"
TWO = f"data.corpora=[{ENTRY}, {ENTRY.replace('one', 'two')}]"
TAGGED = ONE.replace("}]", ", tag: <2en>}]")


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        (["data.corpora=[{name: one}]"], ["one needs either source and target, or tsv, or jsonl, or hub"]),
        (["data.corpora=[{name: one, tsv: x, tag: 2de}]"], ["data.corpora.0.tag", "<2de>"]),
        (["data.corpora=[{name: a, tsv: x, modifiers: {typos: 0.6, title_case: 0.6}}]"], ["sum of more than 1"]),
        (["data.corpora=[{name: a, tsv: x, modifiers: {typos: 1}}]", "data.history_turns=2"], ["not dialogues"]),
        ([f"data.corpora=[{ENTRY}, {ENTRY}]"], ["two corpora have the name 'one'"]),
        ([ONE, "data.train=other"], ["leave out data.train"]),
        ([TWO, "data.stages=[{name: x, corpora: {tow: 1}}]"], ["stage x reads 'tow'"]),
        (["data.stages=[{name: x, corpora: {one: 1}}]"], ["but data.corpora has no corpora at all"]),
        ([ONE, "data.stages=[{name: x, corpora: {one: 1}, until: one}]"], ["NAME EPOCHS"]),
        (
            [TWO, "data.stages=[{name: x, corpora: {one: 1}, until: two 1}]"],
            ["x would never end: it doesn't read 'two'"],
        ),
        (
            [ONE, "data.stages=[{name: x, corpora: {one: 1}}, {name: y, corpora: {one: 1}}]"],
            ["stage x would never end: give it until, such as 'one 1'"],
        ),
        (
            [ONE, "data.stages=[{name: x, corpora: {one: 1}, until: one 1}, {name: x, corpora: {one: 1}}]"],
            ["two stages have the name 'x'"],
        ),
        (
            [TWO, "training.techniques={guided_alignment: {links: FOLDER/train.de}}"],
            ["needs links of each training text", "Set training.techniques.guided_alignment.links to learned"],
        ),
        (
            [ONE, "training.techniques={guided_alignment: {}}"],
            ["needs links of each training text", "nmt align", "by links: FILE of each of data.corpora"],
        ),
        (["data.corpora=[{name: a, tsv: x, modifiers: {terms: 0.1}}]"], ["terms of a needs its links", "nmt align"]),
        ([ONE.replace("}]", ", links: no.links}]")], ["File not found: no.links"]),
        ([TAGGED, "vocabulary.path=MODEL"], ["the tag <2en>, which the vocabulary lacks", "vocabulary.path"]),
    ],
)
def test_bad_input_has_one_message_with_a_remedy(
    run_nmt: RunNmt, tiny_recipe: Path, tiny_corpus: Path, tiny_model: Path, tmp_path: Path, settings: list[str],
    parts: list[str],
) -> None:  # fmt: skip
    names = {"FOLDER": str(tiny_corpus), "MODEL": str(tiny_model)}
    given = [re.sub("FOLDER|MODEL", lambda name: names[name[0]], setting) for setting in settings]
    arguments = [argument for setting in given for argument in ("--set", setting)]
    refused(run_nmt("train", tiny_recipe, "-o", tmp_path / "run", *arguments), *parts)


def test_user_defined_symbols_of_another_vocabulary_are_tags_too(
    tiny_corpus: Path, tmp_path: Path, make_recipe: RecipeMaker
) -> None:
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        input=str(tiny_corpus / "train.de"), model_prefix=str(tmp_path / "own"), vocab_size=50, minloglevel=2,
        pad_id=3, user_defined_symbols=["<2en>"],
    )  # fmt: skip
    recipe = {
        "data": {"corpora": [corpus(tiny_corpus, tag="<2en>")]},
        "vocabulary": {"path": str(tmp_path / "own.model")},
    }
    data = prepare_data(make_recipe(max_steps=1, recipe=recipe))
    vocabulary = data.vocabularies.source
    assert "<2en>" in [vocabulary.token(int(i)) for i in data.train[0].corpus.source[0]]


def test_pairs_are_held_out_of_the_first_corpus(make_recipe: RecipeMaker, tiny_corpus: Path) -> None:
    data = {"corpora": [corpus(tiny_corpus, tag="<2en>"), corpus(tiny_corpus, "more")], "valid": None}
    found = prepare_data(make_recipe(max_steps=1, recipe={"data": data}))
    assert [len(part) for part in found.train] == [38, 38]  # the other is the same text
    assert all(source.startswith("<2en> ") for source in found.valid.sources)


def test_validation_text_without_the_tags_of_all_training_text_is_warned_of(
    make_recipe: RecipeMaker, tiny_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "val.de").write_text("<2en> Der Hund\n<2en> Die Katze\n", "utf-8")
    (tmp_path / "val.en").write_text("The dog\nThe cat\n", "utf-8")
    tagged = {side: str(tmp_path / f"val.{code}") for side, code in (("source", "de"), ("target", "en"))}
    for valid, tag, is_warned in (("val", "<2en>", True), (tagged, "<2en>", False), ("val", None, False)):
        corpora = [corpus(tiny_corpus, tag="<2en>"), corpus(tiny_corpus, "more", tag=tag)]
        prepare_data(make_recipe(max_steps=1, recipe={"data": {"corpora": corpora, "valid": valid}}))
        assert ("have no tag, with which all training lines begin: <2en>." in capsys.readouterr().err) == is_warned
