"""Own models as folders of Hugging Face."""

import contextlib
import copy
import io
import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_types import RunNmt
from refusals import refused

import nmt
from nmt.data.vocabulary.base import TERM
from nmt.data.vocabulary.sentencepiece import SentencePieceVocabulary, UnigramVocabulary
from nmt.decoding.search import Query
from nmt.extensions.interchange.fast_tokenizer import fast_tokenizer
from nmt.extensions.interchange.huggingface import USAGE, export_huggingface
from nmt.extensions.interchange.pretrained.huggingface import import_huggingface
from nmt.extensions.interchange.targets import with_decoding
from nmt.models.build import build
from nmt.recipe.schema import Recipe, VocabularyOptions
from nmt.training.resolve import resolve
from nmt.translation.translator import Translator
from tests.extensions.interchange.huggingface_folders import by_transformers, lines_of, strange_lines

TOLERANCE = 5e-5
"""Of a log-probability in float32, in which nmt and transformers round differently."""
EXACT = 1e-5
"""Of a log-probability in float64: only interleaved sinusoids differ, which nmt computes in float32."""
SIDE = {"type": "transformer", "num_layers": 2, "num_heads": 2, "feed_forward_size": 40}
VARIANTS = {
    "post": ({"norm": "post"}, {"tie": "all", "scale_embeddings": True}, "marian"),
    "post, separate vocabularies": ({"norm": "post", "activation": "silu"}, {"tie": "target"}, "marian"),
    "pre": ({"norm": "pre"}, {"tie": "all", "scale_embeddings": True}, "pegasus"),
    "learned": (
        {"norm": "pre", "positions": "learned", "embedding_norm": True, "max_positions": 256},
        {"tie": "all"},
        "mbart",
    ),
}


def own_model(variant: str, **changes: object) -> Translator:
    """A translator with random weights and vocabularies of its own; ``changes`` are of ``model`` of the recipe."""
    side, model, _ = VARIANTS[variant]
    options = SIDE | side
    recipe = Recipe.model_validate(
        {
            "data": {"source": "de", "target": "en"},
            "vocabulary": {"size": 150, "joint": model["tie"] == "all"},
            "model": {"encoder": options, "decoder": options, "embedding_size": 32, **model, **changes},
            "training": {"max_steps": 1},
        }
    )
    pairs = list(zip(lines_of("de", 500), lines_of("en", 500), strict=True))
    vocabularies = nmt.train_vocabularies(recipe.vocabulary, pairs)
    recipe = resolve(recipe)
    torch.manual_seed(4)
    network = build(recipe.model, vocabularies).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += (0.3 if parameter.dim() > 1 else 0.1) * torch.randn_like(parameter)
    return Translator(network, vocabularies, recipe)


@pytest.mark.quick("learned")
@pytest.mark.parametrize("variant", VARIANTS)
def test_an_exported_model_that_is_imported_computes_the_same(variant: str, tmp_path: Path) -> None:
    translator = own_model(variant)
    family = export_huggingface(translator, tmp_path / "hf")
    assert family.model_type == VARIANTS[variant][2]
    config, generation = (
        json.loads((tmp_path / "hf" / f"{name}config.json").read_text()) for name in ("", "generation_")
    )
    assert generation["max_length"] == min(2 * translator.max_pieces, config["max_position_embeddings"])
    if family.model_type == "mbart":
        return  # its vocabulary isn't that of mBART-50
    again = nmt.load(import_huggingface(tmp_path / "hf", tmp_path / "model").path, "cpu")
    pairs = list(zip(lines_of("de", 20), lines_of("en", 20), strict=True))
    for before, after in zip(translator.score(pairs), again.score(pairs), strict=True):
        assert before.tokens == after.tokens
        assert before.token_log_probabilities == pytest.approx(after.token_log_probabilities, abs=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_transformers_translates_as_nmt_does(variant: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    translator, lines = own_model(variant), lines_of("de", 30)
    export_huggingface(translator, tmp_path / "hf")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    model, info = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "hf", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    sources = [translator.encode_source(line) for line in lines]
    assert tokenizer.is_fast == translator.vocabularies.joint
    assert [tokenizer(line)["input_ids"][:-1] for line in lines] == sources
    longest, long = min(translator.max_pieces, model.config.max_position_embeddings - 1), " ".join(lines * 9)
    assert tokenizer(long, truncation=True)["input_ids"][:-1] == translator.encode_source(long)[:longest]
    target, pairs = translator.vocabularies.target, list(zip(lines, lines_of("en", 30), strict=True))
    ids = [(source, translator.encode_target(text)) for source, (_, text) in zip(sources, pairs, strict=True)]
    double = copy.deepcopy(translator.model).double(), copy.deepcopy(model).double()
    for ours, theirs, tolerance in ((translator.model, model, TOLERANCE), (*double, EXACT)):
        found = Translator(ours, translator.vocabularies, translator.recipe).score(pairs)
        for scored, expected in zip(found, by_transformers(theirs, ids, [target.sos]), strict=True):
            assert scored.token_log_probabilities == pytest.approx(expected, abs=tolerance)
    limit = 12
    options = translator.options(beam_size=5, early_stopping="first", max_length=limit - 1, max_length_ratio=100.0)
    found = [hypotheses[0].ids for hypotheses in translator.searcher(Query(sources, options))]
    model.generation_config.forced_eos_token_id = None

    class End(transformers.LogitsProcessor):  # type: ignore[misc, name-defined]
        """EOS at the limit, with its probability, which transformers leaves out."""

        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            others = torch.arange(scores.shape[1]) != target.eos
            return scores.masked_fill(others, float("-inf")) if input_ids.shape[1] == limit else scores

    expected = [
        model.generate(
            input_ids=torch.tensor([[*source, target.eos]]), num_beams=5, early_stopping=True, do_sample=False,
            max_new_tokens=limit, logits_processor=[End()],
        )[0].tolist()
        for source in sources
    ]  # fmt: skip
    assert len(set(map(tuple, found))) > 5, "translations differ"
    assert [[target.sos, *ids, target.eos] for ids in found] == expected


@pytest.mark.slow
def test_the_documented_code_translates_with_a_trained_model(trained: Path, tiny_corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    translator = with_decoding(nmt.load(trained, "cpu"), beam_size=1, max_length=40)
    export_huggingface(translator, tmp_path / "hf")
    lines = [*(tiny_corpus / "train.de").read_text("utf-8").splitlines(), "Hund " * 700]
    code = USAGE.format(directory=str(tmp_path / "hf"), prefix="").replace('["…"]', repr(lines))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    expected = [translation.text for translation in translator.translate(lines)]
    assert [" ".join(line.split()) for line in printed.getvalue().splitlines()] == expected
    assert len(set(expected)) > 5, "translations differ"


def tokenizer_of(type: str, **options: object) -> tuple[SentencePieceVocabulary, dict[str, Any]]:
    """A joint vocabulary as it is read from a file, and its ``tokenizer.json``."""
    pairs = list(zip(lines_of("de", 500), lines_of("en", 500), strict=True))
    learned = nmt.train_vocabularies(VocabularyOptions(type=type, size=500, **options), pairs).source  # type: ignore[arg-type]
    vocabulary = SentencePieceVocabulary.from_bytes(learned.to_bytes())
    return vocabulary, fast_tokenizer(vocabulary)


@pytest.mark.slow
@pytest.mark.parametrize("normalization", ["nmt_nfkc", "nfkc", "identity"])
@pytest.mark.parametrize("byte_fallback", [False, True])
@pytest.mark.parametrize("kind", ["unigram", "bpe", "character"])
def test_the_fast_tokenizer_gives_the_ids_of_sentencepiece(kind: str, byte_fallback: bool, normalization: str) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary, content = tokenizer_of(kind, byte_fallback=byte_fallback, normalization=normalization)
    fast = tokenizers.Tokenizer.from_str(json.dumps(content))
    fast.encode_special_tokens = True
    others = [
        "",
        "   ",
        "Tie\u0302\u0301ng Vie\u0323\u0302t",
        unicodedata.normalize("NFD", "한국어를 배우고"),
        "e\u0301\u200d",
    ]
    if byte_fallback:
        others += ["a </s> b <s><unk> <pad> c", "</s>"]
    decomposed = [unicodedata.normalize("NFD", line) for line in lines_of("de", 200)]
    for line in (*strange_lines(10_000), *others, *decomposed):
        assert fast.encode(line).ids == [*vocabulary.encode(line), vocabulary.eos], ascii(line)
    for line in lines_of("en", 200):
        assert fast.decode(vocabulary.encode(line)) == line == vocabulary.decode(vocabulary.encode(line))


def test_a_fast_tokenizer_needs_no_library_and_no_terms() -> None:
    vocabulary, content = tokenizer_of("unigram")
    assert [piece for piece, _ in content["model"]["vocab"]] == list(map(vocabulary.token, range(len(vocabulary))))
    assert {each["id"]: each["content"] for each in content["added_tokens"]} == dict(
        enumerate(("<pad>", "<unk>", "<s>", "</s>"))
    )
    options = VocabularyOptions(type="unigram", size=200)
    assert fast_tokenizer(UnigramVocabulary.learn(lines_of("de", 500), options, TERM, "")) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"encoder": {"type": "recurrent"}, "decoder": {"type": "luong"}},
            "the encoder recurrent and the decoder luong",
        ),
        ({"encoder": SIDE | {"norm": "pre", "activation": "silu"}}, "differ in activation"),
        (dict.fromkeys(("encoder", "decoder"), SIDE | {"norm": "pre", "positions": "learned"}), "positions: learned"),
    ],
)
def test_what_no_architecture_fits_is_refused(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(nmt.UserError, match=message):
        export_huggingface(own_model("pre", tie="none", **changes), tmp_path / "hf")
    assert not list(tmp_path.iterdir())


def test_other_types_of_weights_and_a_folder_in_use_are_refused(
    run_nmt: RunNmt, tmp_path: Path, tiny_model: Path
) -> None:
    done = run_nmt("export", tiny_model, "--to", "huggingface", "-o", tmp_path / "hf", "--quantization", "int8")
    refused(done, "float32")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(nmt.UserError, match="exists already"):
        export_huggingface(own_model("post"), tmp_path)


@pytest.mark.quick("exact-never")
@pytest.mark.parametrize(("ours", "theirs"), [("first", True), ("likely", False), ("exact", "never")])
def test_the_search_of_the_recipe_is_that_of_the_folder(ours: str, theirs: object, tmp_path: Path) -> None:
    options = {"early_stopping": ours, "beam_size": 3, "length_penalty": "average", "alpha": 0.6, "max_length": 30}
    export_huggingface(with_decoding(own_model("post"), **options), tmp_path / "hf")
    generation = json.loads((tmp_path / "hf" / "generation_config.json").read_text("utf-8"))
    names = ("early_stopping", "num_beams", "length_penalty", "max_length", "bad_words_ids")
    assert [generation[name] for name in names] == [theirs, 3, 0.6, 32, [[0], [2]]], "SOS and EOS count there"
    imported = nmt.load(import_huggingface(tmp_path / "hf", tmp_path / "model").path, "cpu").recipe.decoding
    assert (imported.early_stopping, imported.beam_size, imported.alpha) == (ours, 3, 0.6)
