"""tools/figures/readme_pictures.py: it knows every picture, makes those it can, and names those it skips."""

import re
from pathlib import Path


def test_every_picture_of_the_documentation_is_known(repo_root: Path) -> None:
    pages = [repo_root / "README.md", repo_root / "recipes" / "README.md", *(repo_root / "docs").rglob("*.md")]
    shown = {name for page in pages for name in re.findall(r"images/(\w+)\.png", page.read_text("utf-8"))}
    script = (repo_root / "tools" / "figures" / "readme_pictures.py").read_text("utf-8")
    assert shown == {path.stem for path in (repo_root / "docs" / "images").glob("*.png")}
    of_models = set(re.findall(r"^def (\w+)\(folders: Folders\)", script, re.MULTILINE))
    # By tools/figures/page_picture.py, tools/experiments/{damage,confidence}_quality.py and examples/; browser is a
    # screenshot.
    assert shown == of_models | {"page", "check", "confidence", "captions", "knowledge_tracing", "browser"}
