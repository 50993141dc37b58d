"""tools/figures/readme_pictures.py: it knows every picture, makes those it can, and names those it skips."""

import re
import subprocess
from pathlib import Path

import pytest


def test_every_picture_of_the_documentation_is_known(repo_root: Path) -> None:
    pages = [repo_root / "README.md", repo_root / "recipes" / "README.md", *(repo_root / "docs").rglob("*.md")]
    shown = {name for page in pages for name in re.findall(r"images/(\w+)\.png", page.read_text("utf-8"))}
    script = (repo_root / "tools" / "figures" / "readme_pictures.py").read_text("utf-8")
    assert shown == {path.stem for path in (repo_root / "docs" / "images").glob("*.png")}
    of_models = set(re.findall(r"^def (\w+)\(folders: Folders\)", script, re.MULTILINE))
    # By tools/figures/page_picture.py and tools/experiments/{damage,confidence}_quality.py; browser is a screenshot.
    assert shown == of_models | {"page", "check", "confidence", "browser"}


@pytest.mark.slow
@pytest.mark.posix
def test_what_can_be_made_is_made(repo_root: Path, python: Path, tiny_model: Path, tmp_path: Path) -> None:
    runs, gold, output = tmp_path / "runs", tmp_path / "data" / "gold", tmp_path / "images"
    runs.mkdir()
    gold.mkdir(parents=True)
    (runs / "luong").symlink_to(tiny_model)
    lines = {"tok.de": "Der Hund schläft .", "tok.en": "The dog sleeps .", "sure": "0-0 1-1 2-2 3-3"}
    for end, line in lines.items():
        (gold / f"test_2016_flickr.{end}").write_text(f"{line}\n" * 20, encoding="utf-8")
    tool = repo_root / "tools" / "figures" / "readme_pictures.py"
    done = subprocess.run(
        [python, tool, runs, tmp_path / "data", "-o", output],
        capture_output=True,
        text=True,
        cwd=repo_root,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in output.iterdir()] == ["alignment.png"]
    assert f"nmt align {runs}/luong" in done.stdout
    skipped = {
        "heads": "transformer",
        "lengths": "vanilla.test.en",
        "systems": "systems/vanilla/test_2016_flickr.en",
        "memory": "copy_ntm",
        "memory_attention": "ntm_encoder",
        "gradients": "rnn",
        "dialogue": "dialogue",
        "document": "clauses",
        "confusion": "language_bag.predicted",
    }
    for name, missing in skipped.items():
        assert f"skipped {name}.png: there is no {runs / missing}\n" in done.stdout
