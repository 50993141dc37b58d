"""The hostile input that ``tools/checks/torture.py`` tries, and the honest input that it is made from."""

import gzip
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from nmt.quickstart.embedded_corpus import AlignedPair, splits
from nmt.recipe.load import shipped_recipes

RECIPE: dict[str, Any] = {
    "device": "cpu",
    "data": {"root": "corpus", "source": "en", "target": "de", "valid": "valid", "max_length": 60},
    "vocabulary": {"type": "bpe", "size": 300},
    "model": {
        "embedding_size": 16,
        "encoder": {"type": "recurrent", "cell": "lstm", "hidden_size": 8},
        "decoder": {
            "type": "bahdanau",
            "cell": "lstm",
            "hidden_size": 16,
            "attention": {"type": "additive", "size": 8},
        },
    },
    "training": {
        "batch_tokens": 200,
        "max_steps": 2,
        "schedule": {"warmup_steps": 1},
        "validation_size": 4,
        "precision": "fp32",
    },
    "decoding": {"beam_size": 2},
}

SCALARS = (
    "!!int abc", "!!float x", "0x_", "2024-13-45", "!!timestamp 1", "!!binary ====", "!!python/object:os.system x",
    "1e18", "1000000000000000000", "-1", "0", "-1e-9", ".nan", ".inf", "-.inf", "1e400", "4294967296", "64000",
    "null", "true", "~", '""', "[]", "{}", "[1, 2]", "{a: 1}", "{type: 3}", "{type: lstm, hiden: 1}", '"\\ud800"',
    "x" * 100_000, "&a [*a]", "*b", "!x y", "auto", "none", "word", "lstm", "../../etc/passwd", "/dev/zero",
    "/dev/stdin", "/", "\u202e", "'\\0'", "[[[[[[[[[[]]]]]]]]]]", "[" * 500 + "]" * 500, "0.5", "3", "1_000", "08",
    "1:30", "=", "<<", "?", "-", "@",
)  # fmt: skip
"""Values that a recipe doesn't expect, as YAML."""

BOMB = "a: &a [x, x]\n" + "".join(
    f"{c}: &{c} [*{b}, *{b}, *{b}, *{b}, *{b}, *{b}, *{b}]\n" for b, c in zip("abcdefgh", "bcdefghi", strict=True)
)
"""Aliases of aliases: a few lines that stand for millions of values."""


@dataclass
class Case:
    """Commands in a folder of their own."""

    kind: str
    arguments: list[str]
    prepare: Callable[[Path], None] = lambda folder: None
    described: str = ""
    standard_input: bytes = b""
    set_up: Callable[[], None] = lambda: None
    """Called in the process of the command, before it begins."""
    others: list[list[str]] = field(default_factory=list)
    """Arguments of commands that run at the same time."""
    delay: float = 0.0
    """Seconds after which each of the others starts; infinite to wait until those before it have ended."""
    patience: float = 1.0
    """By how much the limit of time is multiplied."""
    outputs: tuple[str, ...] = ()
    """Files and folders that a command which is refused must leave as they were."""
    is_killed: bool = False
    """Whether a command is killed, so that temporary files may be left."""
    check: Callable[[Path, list[int]], list[str]] = lambda folder, codes: []
    """What is wrong with the folder after the commands have ended with these codes."""


# Honest input


def write_corpus(folder: Path, **sizes: int) -> dict[str, list[AlignedPair]]:
    """Write SPLIT.en and SPLIT.de with so many pairs of the embedded corpus; the pairs."""
    folder.mkdir(parents=True)
    corpus = splits(**sizes)
    for split, pairs in corpus.items():
        for side, language in (("source", "en"), ("target", "de")):
            (folder / f"{split}.{language}").write_text("".join(f"{getattr(p, side)}\n" for p in pairs), "utf-8")
    return corpus


def make_base(folder: Path) -> None:
    """The honest input: a corpus, a recipe, a trained model directory, alignments."""
    import nmt

    corpus = write_corpus(folder / "corpus", train=200, valid=20, test=4)
    for language in ("en", "de"):
        shutil.copyfile(folder / "corpus" / f"test.{language}", folder / f"few.{language}")
    links = "".join(" ".join(f"{i}-{j}" for i, j in pair.links) + "\n" for pair in corpus["valid"])
    for name in ("links", "gold"):
        (folder / name).write_text(links, "utf-8")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE), "utf-8")
    records = [{"source": "Hund", "candidates": [{"text": "dog", "score": -0.1}, {"text": "cat", "score": -2.0}]}] * 3
    (folder / "records").write_text("".join(f"{json.dumps(each)}\n" for each in records), "utf-8")
    os.chdir(folder)
    os.environ["NMT_CACHE"] = str(folder / "cache")
    nmt.train("recipe.yaml", "model", overrides={"training.max_steps": 4, "training.checkpoint_every": 2})


# Changes


def paths_of(values: Any, prefix: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in nested mappings."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield (*prefix, key)
            yield from paths_of(value, (*prefix, key))


def changed_bytes(content: bytes, rng: random.Random) -> bytes:
    """Cut, flip, repeat, insert or replace some of the bytes."""
    if not content:
        return rng.randbytes(rng.randrange(1, 40))
    at, size = rng.randrange(len(content)), rng.choice((1, 1, 4, 64))
    match rng.randrange(8):
        case 0:
            return content[:at]
        case 1:
            return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]
        case 2:
            return content[:at] + content[at : at + size] * rng.choice((2, 50)) + content[at:]
        case 3:
            return content[:at] + rng.randbytes(size) + content[at:]
        case 4:
            return b""
        case 5:
            return (
                content[:at]
                + rng.choice((b"\0", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\n\n\n", b"\r", b"\t"))
                + content[at:]
            )
        case 6:
            return content[at:]
        case _:
            return rng.randbytes(min(len(content), 2000))


def changed_recipe(rng: random.Random) -> str:
    """A recipe with one to three changes, as YAML text."""
    known = (
        yaml.safe_load(rng.choice(list(shipped_recipes().values())).read_text("utf-8")) if rng.random() < 0.3 else {}
    )
    values: dict[str, Any] = json.loads(json.dumps(RECIPE))
    for side in ("encoder", "decoder"):
        if known and rng.random() < 0.5:
            values["model"][side] = (
                known["model"][side] | {"hidden_size": 16}
                if "hidden_size" in known["model"][side]
                else known["model"][side]
            )
    marks = {}
    for number in range(rng.randrange(1, 4)):
        *groups, last = rng.choice(list(paths_of(values)))
        inner = values
        for group in groups:
            inner = inner.get(group, {}) if isinstance(inner, dict) else {}
        match rng.randrange(5):
            case 0:
                inner.pop(last, None)
            case 1:
                inner[rng.choice((f"{last}x", "type", "max_steps", "x" * 5000, "", "\u0000"))] = 1
            case _:
                mark = f"MARK{number}"
                inner[last], marks[mark] = mark, rng.choice(SCALARS)
    text = yaml.safe_dump(values, allow_unicode=True, sort_keys=False)
    for mark, value in marks.items():
        text = text.replace(mark, value)
    if rng.random() < 0.03:
        text = BOMB + text
    if rng.random() < 0.2:
        text = changed_bytes(text.encode("utf-8", "surrogatepass"), rng).decode("utf-8", "surrogateescape")
    return text


def make_endless(path: Path, rng: random.Random) -> None:
    """Put a device without an end, or a huge file, in place of a file."""
    path.unlink()
    if rng.random() < 0.5:
        path.symlink_to(rng.choice(("/dev/zero", "/dev/full", "/dev/urandom")))
    else:
        with path.open("wb") as file:
            file.truncate(1 << 34)  # sparse: takes no space


# Kinds of cases


class Kinds:
    """Makes cases of each kind.

    Args:
        base: the folder of the honest input: corpus/, model/, recipe.yaml, links, gold.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.model_files = sorted(
            str(p.relative_to(base)) for p in (base / "model").rglob("*") if p.is_file() and p.name != ".lock"
        )

    def recipe(self, rng: random.Random) -> Case:
        text = changed_recipe(rng)

        def prepare(folder: Path) -> None:
            (folder / "recipe.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))

        return Case(
            "recipe", ["train", "recipe.yaml", "-o", "run", "--set", "training.max_steps=1"], prepare, text[:3000]
        )

    def setting(self, rng: random.Random) -> Case:
        keys = [".".join(path) for path in paths_of(RECIPE)]
        keys += [
            "seed",
            "training.accumulate",
            "training.learning_rate",
            "training.ema",
            "model.tie",
            "training.metric",
        ]
        settings = [f"{rng.choice(keys)}={rng.choice(SCALARS)}" for _ in range(rng.randrange(1, 3))]
        arguments = ["train", "recipe.yaml", "-o", "run", *(f"--set={s}" for s in settings)]
        return Case("setting", [*arguments, "--set", "training.max_steps=1"])

    def corpus(self, rng: random.Random) -> Case:
        name = rng.choice(("train.en", "train.de", "valid.en", "valid.de"))
        seed = rng.random()

        def prepare(folder: Path) -> None:
            own = random.Random(seed)
            path = folder / "corpus" / name
            content = path.read_bytes()
            match own.randrange(8):
                case 0:
                    path.write_bytes(content.decode().encode("utf-16"))
                case 1:
                    path.unlink()
                    (folder / "corpus" / f"{name}.gz").write_bytes(changed_bytes(gzip.compress(content), own))
                case 2:
                    path.write_bytes(content.replace(b"\n", own.choice((b"\r\n", b"\r", b"\n\n", b" ", b"\0\n"))))
                case 3:
                    path.unlink()
                    own.choice((path.mkdir, lambda: None))()
                case 4:
                    path.write_bytes(b"a " * 500_000)
                case 5:
                    make_endless(path, own)
                case _:
                    path.write_bytes(changed_bytes(content, own))

        command = rng.choice((
            ["train", "recipe.yaml", "-o", "run", "--set", "training.max_steps=1"],
            ["translate", "model", "-i", f"corpus/{name}", "--beam-size", "1"],
            ["check-data", "corpus/train.en", "corpus/train.de", "--test", "corpus/valid.en", "corpus/valid.de"],
            ["score", f"corpus/{name}", f"corpus/{name[:-2]}en"],
            ["align", "model", f"corpus/{name[:-2]}en", f"corpus/{name[:-2]}de", "--limit", "20"],
        ))  # fmt: skip
        return Case("corpus", command, prepare, f"{name} changed with {seed}")

    def links(self, rng: random.Random) -> Case:
        name, seed = rng.choice(("links", "gold")), rng.random()

        def prepare(folder: Path) -> None:
            path, own = folder / name, random.Random(seed)
            content = path.read_bytes()
            if own.random() < 0.1:
                make_endless(path, own)
                return
            extra = own.choice(
                (b"0-0 ", b"-1-2 ", b"9-9999999999 ", b"1-", b"a-b ", "１-２ ".encode(), b"0?1 ", b"1-1-1 ")
            )
            path.write_bytes(changed_bytes(content, own) if own.random() < 0.6 else content.replace(b"0-0 ", extra))

        command = rng.choice((
            ["aer", "links", "gold"],
            ["align", "model", "corpus/valid.en", "corpus/valid.de", "--gold", name, "-o", "page.html"],
            ["aer", "links", "gold", "--possible", name],
        ))  # fmt: skip
        return Case("links", command, prepare, f"{name} changed with {seed}")

    def model(self, rng: random.Random) -> Case:
        name, seed = rng.choice(self.model_files), rng.random()

        def prepare(folder: Path) -> None:
            own, path = random.Random(seed), folder / name
            match own.randrange(9):
                case 0:
                    path.unlink()
                case 1:
                    path.unlink()
                    os.mkfifo(path)
                case 2:
                    path.unlink()
                    path.symlink_to("/dev/zero")
                case 3:
                    path.unlink()
                    path.mkdir()
                case 4:
                    shutil.copyfile(folder / own.choice([file for file in self.model_files if file != name]), path)
                case 5:
                    path.write_bytes(BOMB.encode())
                case _:
                    path.write_bytes(changed_bytes(path.read_bytes(), own))

        command = rng.choice((
            ["translate", "model", "-i", "few.en"], ["translate", "model", "-i", "few.en", "--search", "sample"],
            ["translate", "model", "--score-only", "few.en", "few.de"], ["align", "model", "few.en", "few.de"],
            ["inspect", "run", "model"], ["average", "model", "--last", "2", "-o", "mean"],
            ["train", "recipe.yaml", "-o", "model", "--resume", "--set", "training.max_steps=5"],
            ["learn-alignment", "model", "few.en", "few.de"], ["verify", "model", "--limit", "2"],
            ["train", "recipe.yaml", "-o", "new", "--set", "training.finetune_from=model",
             "--set", "training.max_steps=1"],
        ))  # fmt: skip
        return Case("model", command, prepare, f"{name} changed with {seed}")

    def input(self, rng: random.Random) -> Case:
        content = changed_bytes((self.base / "few.en").read_bytes(), rng)
        extra = rng.choice(
            ([], ["--input-format", "jsonl"], ["--n-best", "2"], ["--format", "jsonl"], ["--interactive"])
        )
        if "jsonl" in extra and rng.random() < 0.7:
            objects = (
                {"source": "a", "prefix": 3},
                {"source": ["x"]},
                {"source": "a", "must_contain": ["b", 1]},
                [],
                1,
                {"source": "a" * 9999},
            )
            content = "\n".join(json.dumps(rng.choice(objects)) for _ in range(3)).encode()
        return Case("input", ["translate", "model", *extra], described=repr(content[:300]), standard_input=content)
