"""Everything that a user can get wrong gives one message with its remedy, exit code 2, and no traceback."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

RunNmt = Callable[..., "subprocess.CompletedProcess[str]"]


def refused(done: "subprocess.CompletedProcess[str]", *expected: str) -> None:
    """One message and a remedy, on stderr alone, that says what is expected of it."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    message, *remedy = done.stderr.rstrip("\n").split("\n")
    assert message.startswith("Error: ")
    assert len(remedy) == 1, done.stderr
    for text in expected:
        assert text in done.stderr


@pytest.fixture
def corpus(tiny_corpus: Path, tmp_path: Path) -> Path:
    """A copy of the tiny corpus to be spoilt."""
    return Path(shutil.copytree(tiny_corpus, tmp_path / "corpus"))


@pytest.fixture
def train(run_nmt: RunNmt, tiny_recipe: Path, corpus: Path, tmp_path: Path) -> RunNmt:
    """``train("key=value", …)`` on the spoilt copy; a run that gets through takes one step."""

    def run(*settings: str) -> "subprocess.CompletedProcess[str]":
        settings = (f"data.root={corpus}", "training.max_steps=1", *settings)
        return run_nmt("train", tiny_recipe, "-o", tmp_path / "run", "-q", *(f"--set={s}" for s in settings))

    return run


SUBWORDS = "vocabulary={type: unigram, size: 100}"


def test_the_fixtures_are_right_without_a_fault(train: RunNmt) -> None:
    assert train().returncode == 0


# the recipe


def test_unknown_recipe_suggests_the_nearest(run_nmt: RunNmt) -> None:
    refused(run_nmt("train", "multi30k/transfromer"), "'multi30k/transfromer'", "'multi30k/transformer'?")


@pytest.mark.parametrize("command", [["train"], ["recipes"], ["translate"], ["recipes", "--keys"], ["inspect", "run"]])
def test_a_name_of_100_000_characters_is_refused_with_a_short_message(run_nmt: RunNmt, command: list[str]) -> None:
    done = run_nmt(*command, "x" * 100_000)
    refused(done, "xxx")
    assert len(done.stderr) < 9000


@pytest.mark.parametrize("command", [["align"], ["verify"]])
def test_a_number_beyond_any_index_is_refused(run_nmt: RunNmt, command: list[str]) -> None:
    refused(run_nmt(*command, "model", "a", "b", "--limit", "1" * 30), "--limit 1111", "too large")


def test_misspelt_key_suggests_the_nearest(train: RunNmt) -> None:
    refused(train("training.learning_rat=0.1"), "'training.learning_rat'", "'learning_rate'?")


def test_misspelt_option_of_a_component(train: RunNmt) -> None:
    refused(train("model.decoder.hiden_size=8"), "'hiden_size'", "'hidden_size'?")


def test_unknown_component(train: RunNmt) -> None:
    refused(train("model.encoder.type=recurent"), "model.encoder.type", "'recurent'", "'recurrent'?")


@pytest.mark.parametrize("setting", ["training.batch_tokens=many", "training.max_steps=-1", "seed=1.5", "data=3"])
def test_wrong_type_or_range_names_key_and_value(train: RunNmt, setting: str) -> None:
    key, value = setting.split("=")
    refused(train(setting), f"'{key}'", value)


@pytest.mark.parametrize("setting", ["training.max_steps", "=3", "training.max_steps.deep=3", "model={"])
def test_malformed_setting(train: RunNmt, setting: str) -> None:
    refused(train(setting), "--set")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "no keys"),
        ("model: [", "line 1"),
        ("- a list\n", "no keys"),
        ("data:\n\tx: 1\n", "line 2"),
        ("\xff", "UTF-8"),
    ],
)
def test_a_file_that_is_no_recipe(run_nmt: RunNmt, tmp_path: Path, content: str, expected: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(content, encoding="latin-1")
    refused(run_nmt("train", path), str(path), expected)


# the training text


def test_missing_training_file_lists_what_is_there(train: RunNmt, corpus: Path) -> None:
    (corpus / "train.en").unlink()
    refused(train(), str(corpus / "train.en"), "train.de")


def test_missing_folder(train: RunNmt, tmp_path: Path) -> None:
    refused(train(f"data.root={tmp_path / 'nowhere'}"), str(tmp_path / "nowhere"))


def test_wrong_language(train: RunNmt) -> None:
    refused(train("data.source=fr"), "train.fr", "data.source")


@pytest.mark.parametrize("vocabulary", ["vocabulary.type=word", SUBWORDS])
def test_different_numbers_of_lines(train: RunNmt, corpus: Path, vocabulary: str) -> None:
    with (corpus / "train.en").open("a") as file:
        file.write("one too many\nand another\n")
    refused(train(vocabulary), "train.de has 40 lines", "train.en has 42")


@pytest.mark.parametrize("vocabulary", ["vocabulary.type=word", SUBWORDS])
def test_text_that_is_not_utf8_names_the_line(train: RunNmt, corpus: Path, vocabulary: str) -> None:
    lines = (corpus / "train.de").read_bytes().splitlines(keepends=True)
    lines[17] = "Bäcker\n".encode("latin-1")
    (corpus / "train.de").write_bytes(b"".join(lines))
    refused(train(vocabulary), f"{corpus / 'train.de'}, line 18", "UTF-8", "iconv")


@pytest.mark.parametrize("vocabulary", ["vocabulary.type=word", SUBWORDS])
@pytest.mark.parametrize("content", ["", "\n" * 40])
def test_empty_corpus(train: RunNmt, corpus: Path, vocabulary: str, content: str) -> None:
    for language in ("de", "en"):
        (corpus / f"train.{language}").write_text(content)
    refused(train(vocabulary), "empty")


def test_empty_validation_text(train: RunNmt, corpus: Path) -> None:
    for language in ("de", "en"):
        (corpus / f"val.{language}").write_text("")
    refused(train(), "val")


def test_damaged_gzip(train: RunNmt, corpus: Path) -> None:
    (corpus / "train.de").write_bytes(b"\x1f\x8b" + b"damaged" * 9)
    refused(train(), "train.de", "gzip")


def test_a_vocabulary_larger_than_the_text_can_give_names_the_most(train: RunNmt) -> None:
    done = train("vocabulary={type: unigram, size: 5000}")
    refused(done, "5000", "vocabulary.size")
    most = done.stderr.split("vocabulary.size=")[1].split()[0]
    assert train(f"vocabulary={{type: unigram, size: {most}}}").returncode == 0


def test_a_vocabulary_too_small_for_the_characters(train: RunNmt) -> None:
    refused(train("vocabulary={type: bpe, size: 20}"), "vocabulary.size", "20")


def test_missing_vocabulary_file(train: RunNmt, tmp_path: Path) -> None:
    refused(train(f"vocabulary.path={tmp_path / 'none.model'}"), "none.model")


def test_every_pair_is_too_long(train: RunNmt) -> None:
    refused(train("data.max_length=2"), "data.max_length")


# the output


def test_output_below_a_file(run_nmt: RunNmt, tiny_recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file", tmp_path / "file" / "run"):
        refused(run_nmt("train", tiny_recipe, "-o", output), str(output), "-o")


def test_output_folder_missing(run_nmt: RunNmt, tiny_model: Path, tmp_path: Path) -> None:
    refused(run_nmt("translate", tiny_model, "-o", tmp_path / "no" / "out.en"), "no folder", "mkdir")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk(run_nmt: RunNmt, tiny_model: Path) -> None:
    refused(run_nmt("translate", tiny_model, "-o", "/dev/full", stdin="Der Hund.\n"), "/dev/full", "no space left")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_behind_standard_output() -> None:
    """The command has opened no file whose name a message could give."""
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "nmt", "recipes", "--keys"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: The output can't be written: no space left on device.\nFree"), done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_behind_standard_error(python: Path, tmp_path: Path) -> None:
    """Messages are lost; the result and the exit code are those of the command."""
    (tmp_path / "a").write_text("a b\n")
    for arguments, code in ((["score", "a", "missing"], 2), (["nonsense"], 2), (["check-data", "a", "a"], 0)):
        with open("/dev/full", "w") as full:
            command = [python, "-m", "nmt", *arguments]
            done = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=full)
        assert done.returncode == code
        assert bool(done.stdout) == (code == 0)


def test_a_name_that_is_too_long_for_the_file_system(run_nmt: RunNmt, tmp_path: Path) -> None:
    done = run_nmt("import", "huggingface", tmp_path, "-o", tmp_path / ("o" * 300))
    # From Python 3.14 on, such a path does not exist, and no error of the system is raised for it.
    refused(done, *(("ooo", "name too long") if sys.version_info < (3, 14) else ("config.json",)))


def test_what_was_there_survives_a_failure(run_nmt: RunNmt, tiny_model: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.en"
    output.write_text("precious\n")
    refused(run_nmt("translate", tiny_model, "-i", tmp_path / "missing.de", "-o", output), "missing.de")
    assert output.read_text() == "precious\n"
    assert list(tmp_path.iterdir()) == [output]


# the model directory


def test_no_model_directory(run_nmt: RunNmt, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(run_nmt("translate", tmp_path / "nowhere"), "no such folder", "nmt train")
    refused(run_nmt("translate", tmp_path), "no recipe.yaml", "nmt train")
    refused(run_nmt("translate", tmp_path / "file"), "it is a file", "nmt train")


def test_a_folder_near_the_model_directory_leads_there(run_nmt: RunNmt, tiny_model: Path) -> None:
    for near in (tiny_model.parent, tiny_model / "checkpoints", tiny_model / "model.safetensors"):
        refused(run_nmt("translate", near), f"{near} is not a model directory", f"Did you mean {tiny_model}?")


@pytest.fixture
def spoilt(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model to be spoilt."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def test_a_directory_from_a_newer_version(run_nmt: RunNmt, spoilt: Path) -> None:
    recipe = (spoilt / "recipe.yaml").read_text("utf-8")
    assert "format_version: 1" in recipe
    newer = recipe.replace("format_version: 1", "format_version: 99\nsomething_new: 3")
    (spoilt / "recipe.yaml").write_text(newer, encoding="utf-8")
    refused(run_nmt("translate", spoilt), "format version 99", "upgrade nmt")


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "nonsense", "another model's"])
def test_damaged_weights(run_nmt: RunNmt, spoilt: Path, bytes_model: Path, damage: str) -> None:
    path = spoilt / "model.safetensors"
    content = path.read_bytes()
    path.unlink()
    if damage == "another model's":
        shutil.copy(bytes_model / "model.safetensors", path)
    elif damage != "missing":
        path.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "nonsense": b"\xff" * 99}[damage])
    refused(run_nmt("translate", spoilt, stdin="Der Hund.\n"), str(path))


@pytest.mark.parametrize("damage", ["missing", "nonsense"])
def test_damaged_vocabulary(run_nmt: RunNmt, spoilt: Path, damage: str) -> None:
    path = spoilt / "vocabulary.source.txt"
    path.unlink()
    if damage == "nonsense":
        path.write_text("no\nvocabulary\n")
    refused(run_nmt("translate", spoilt, stdin="Der Hund.\n"), "vocabulary")


@pytest.mark.parametrize("content", [b"", b"no vocabulary at all"])
def test_damaged_subword_vocabulary(run_nmt: RunNmt, bytes_model: Path, tmp_path: Path, content: bytes) -> None:
    model = Path(shutil.copytree(bytes_model, tmp_path / "model"))
    (model / "vocabulary.model").write_bytes(content)
    refused(run_nmt("translate", model, stdin="Der Hund.\n"), str(model / "vocabulary.model"))


def test_a_recipe_that_is_too_large_for_the_weights_takes_no_memory(
    run_nmt: RunNmt, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    text = (model / "recipe.yaml").read_text("utf-8")
    (model / "recipe.yaml").write_text(text.replace("hidden_size: 32", "hidden_size: 4000"), "utf-8")
    monkeypatch.delattr("nmt.models.build.build_model")
    refused(run_nmt("translate", model), "model.safetensors holds the weights of another model", "parameters")


# translate, align, score, aer


def test_input_that_is_not_utf8_names_the_line(run_nmt: RunNmt, tiny_model: Path, tmp_path: Path) -> None:
    text = "Der Hund.\nDie Kätzin.\n".encode("latin-1")
    (tmp_path / "in.de").write_bytes(text)
    for done, name in (
        (run_nmt("translate", tiny_model, stdin=text), "standard input"),
        (run_nmt("translate", tiny_model, "-i", tmp_path / "in.de"), str(tmp_path / "in.de")),
    ):
        assert done.stdout.count("\n") == 1, "what comes before is translated"
        done.stdout = ""
        refused(done, f"{name}, line 2", "iconv")


def test_missing_input_suggests_the_nearest(run_nmt: RunNmt, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "test.de").write_text("Der Hund.\n")
    missing = tmp_path / "tset.de"
    refused(run_nmt("translate", tiny_model, "-i", missing), f"File not found: {missing}", f"{tmp_path / 'test.de'}?")


def test_more_candidates_than_the_beam_holds(run_nmt: RunNmt, tiny_model: Path) -> None:
    refused(run_nmt("translate", tiny_model, "--n-best", 6, stdin="Der Hund.\n"), "6 candidates", "--beam-size 6")


def test_unknown_device(run_nmt: RunNmt, tiny_model: Path) -> None:
    refused(run_nmt("translate", tiny_model, "--device", "gpu", stdin="Der Hund.\n"), "gpu")


def test_a_model_without_attention_cannot_align(run_nmt: RunNmt, vanilla_model: Path, tiny_corpus: Path) -> None:
    done = run_nmt("align", vanilla_model, tiny_corpus / "val.de", tiny_corpus / "val.en")
    refused(done, "no attention", "multi30k/bahdanau")


def test_a_picture_needs_a_file(run_nmt: RunNmt, tiny_model: Path, tiny_corpus: Path) -> None:
    refused(run_nmt("align", tiny_model, tiny_corpus / "val.de", "--format", "png"), "-o links.png")


def test_tokens_need_a_target(run_nmt: RunNmt, tiny_model: Path, tiny_corpus: Path) -> None:
    refused(run_nmt("align", tiny_model, tiny_corpus / "val.de", "--tokenized"), "TARGET")


def test_a_picture_in_no_folder(run_nmt: RunNmt, tiny_model: Path, tiny_corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "no" / "links.png"
    refused(run_nmt("align", tiny_model, tiny_corpus / "val.de", tiny_corpus / "val.en", "-o", output), "folder")


def test_pairs_of_different_length(run_nmt: RunNmt, tiny_model: Path, tiny_corpus: Path, tmp_path: Path) -> None:
    source, target = tiny_corpus / "val.de", tiny_corpus / "train.en"
    output = tmp_path / "links"
    done = run_nmt("align", tiny_model, source, target, "-o", output)
    refused(done, f"{source} has 8 lines", f"{target} has 40")
    assert not output.exists()
    refused(run_nmt("score", source, target), f"{source} has 8", f"{target} has 40")


def test_scores_of_pairs_that_are_none(run_nmt: RunNmt, tiny_model: Path, tiny_corpus: Path, tmp_path: Path) -> None:
    source, target = tiny_corpus / "val.de", tiny_corpus / "train.en"
    refused(run_nmt("translate", tiny_model, "--score-only", source, source, "-i", source), "--input")
    refused(run_nmt("translate", tiny_model, "--score-only", source, f"{source}x"), "val.dex")
    done = run_nmt("translate", tiny_model, "--score-only", source, target, "-o", tmp_path / "scores")
    refused(done, f"{source} has 8 lines", f"{target} has 40")
    assert not (tmp_path / "scores").exists()


def test_scores_of_nothing(run_nmt: RunNmt, tiny_corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    refused(run_nmt("score", tmp_path / "empty", tmp_path / "empty"), "empty")
    refused(run_nmt("score", tiny_corpus / "val.en", tiny_corpus / "val.en", "--metrics", "blue"), "'blue'", "'bleu'?")
    refused(run_nmt("score", tiny_corpus / "val.en", tmp_path / "missing"), "missing")


def test_links_that_are_none(run_nmt: RunNmt, tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text("0-0\n1-1\n")
    bad.write_text("0-0\n1:1\n")
    refused(run_nmt("aer", bad, good), f"{bad}, line 2", "'1:1'")
    refused(run_nmt("aer", good, tmp_path / "missing"), "missing")
    bad.write_text("0-0\n")
    refused(run_nmt("aer", bad, good), str(bad))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["translate"], "MODEL_DIR"),
        (["translate", "m", "--beem-size", "3"], "--beem-size"),
        (["translate", "m", "--beam-size", "0"], "--beam-size"),
        (["translate", "m", "--alpha", "strong"], "--alpha"),
        (["translate", "m", "--format", "xml"], "jsonl"),
        (["align", "m", "s", "t", "--method", "magic"], "argmax"),
        (["align", "m", "s", "t", "--threshold", "2"], "--threshold"),
        (["trian"], "trian"),
    ],
)
def test_wrong_usage(run_nmt: RunNmt, arguments: list[str], expected: str) -> None:
    done = run_nmt(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert expected.lower() in done.stderr.lower()


def test_the_real_process_says_the_same(python: Path, tmp_path: Path) -> None:
    command = [python, "-m", "nmt", "translate", str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    refused(done, "nowhere is not a model directory")
