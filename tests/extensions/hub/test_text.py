"""Data sets that the library ``datasets`` loads: their columns and splits, and a hub that does not answer."""

import os
import socket
import subprocess
from pathlib import Path

import datasets
import pytest

from nmt.core.errors import UserError
from nmt.data.opening import open_text
from nmt.data.sources import ParallelText
from nmt.recipe.schema import DataOptions

PAIRS = [("ein Hund", "a dog"), ("", ""), ("zwei Kätzchen", "two kittens"), ("Ende", "end")]


def opened(folder: Path, split: str = "train", **values: str) -> ParallelText:
    return open_text(DataOptions(**{"hub": str(folder), "source": "de", "target": "en", **values}), split)


def save_to_disk(folder: Path, nested: bool = False, **splits: list[tuple[str, str]]) -> None:
    made = {}
    for name, pairs in splits.items():
        rows = [{"de": de, "en": en} for de, en in pairs]
        made[name] = datasets.Dataset.from_list([{"translation": row} for row in rows] if nested else rows)
    datasets.DatasetDict(made).save_to_disk(folder)


@pytest.mark.parametrize("nested", [False, True], ids=["a column a language", "one column of translations"])
def test_a_saved_data_set_gives_its_pairs_and_names_its_languages(tmp_path: Path, nested: bool) -> None:
    save_to_disk(tmp_path, nested, train=PAIRS, validation=PAIRS[:1])
    text = opened(tmp_path)
    assert list(text) == PAIRS
    assert list(text) == PAIRS
    assert list(opened(tmp_path, "val")) == PAIRS[:1]
    turned = opened(tmp_path, source="en", target="de")
    assert list(turned) == [(en, de) for de, en in PAIRS]
    assert turned.fingerprint() != text.fingerprint() == opened(tmp_path).fingerprint()
    with pytest.raises(UserError, match=r"no text in 'fr'; it has de, en\."):
        opened(tmp_path, source="fr")


def test_line_breaks_and_missing_text_in_a_data_set_do_no_harm(tmp_path: Path) -> None:
    rows = {"de": ["eins\nzwei\r\ndrei", None], "en": ["one", "two"]}
    datasets.DatasetDict({"train": datasets.Dataset.from_dict(rows)}).save_to_disk(tmp_path)
    assert list(opened(tmp_path)) == [("eins zwei drei", "one"), ("", "two")]


def test_columns_that_are_not_text_are_refused_and_one_of_text_may_be_called_translation(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("de,en,translation\neins,1,one\nzwei,2,two\n", "utf-8")
    with pytest.raises(UserError, match=r"(?s)row 1: 1 is not text.*data\.source and data\.target"):
        list(opened(tmp_path))
    assert list(opened(tmp_path, target="translation")) == [("eins", "one"), ("zwei", "two")]


def test_rows_without_translations_are_empty_pairs(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(
        '{"translation": null}\n{"translation": {"de": "eins", "en": "one"}}\n', "utf-8"
    )
    assert list(opened(tmp_path)) == [("", ""), ("eins", "one")]


def test_a_single_saved_data_set_is_for_training_and_not_for_validation_too(tmp_path: Path) -> None:
    datasets.Dataset.from_list([{"de": de, "en": en} for de, en in PAIRS]).save_to_disk(tmp_path)
    assert list(opened(tmp_path)) == PAIRS
    with pytest.raises(UserError, match=r"(?s)no split 'val'; it has train.*data\.valid=null"):
        opened(tmp_path, "val")


def test_a_data_set_that_does_not_exist_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)can't be loaded.*--set data\.root=FOLDER"):
        opened(tmp_path / "nothing")


def test_a_data_set_with_several_configurations_names_them(tmp_path: Path) -> None:
    configs = [f"- config_name: {name}\n  data_files: {name}.jsonl\n" for name in ("old", "new")]
    for name in ("old", "new"):
        (tmp_path / f"{name}.jsonl").write_text('{"de": "eins", "en": "one"}\n', "utf-8")
    (tmp_path / "README.md").write_text(f"---\nconfigs:\n{''.join(configs)}---\n", "utf-8")
    with pytest.raises(UserError, match=r"(?s)available configs: \['old', 'new'\].*hub_config"):
        opened(tmp_path)


@pytest.mark.slow
def test_a_hub_that_does_not_answer_is_given_up_in_bounded_time(python: Path, tmp_path: Path) -> None:
    """The server accepts connections and is silent; the libraries alone would try again for minutes."""
    program = (
        "from nmt.data.opening import open_text\nfrom nmt.extensions.hub import text\n"
        "from nmt.recipe.schema import DataOptions\ntext.HUB_SECONDS = 1\n"
        "open_text(DataOptions(hub='some/corpus', source='de', target='en'), 'train')"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        changes = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
        done = subprocess.run(
            [python, "-c", program], env=os.environ | changes, capture_output=True, text=True, timeout=300, check=False
        )
    assert f"loading the data set some/corpus from {endpoint}" in done.stderr
    assert "does not answer" in done.stderr
    assert "UserError: The data set 'some/corpus' can't be loaded" in done.stderr
