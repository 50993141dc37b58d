"""Hostile files for ``tools/checks/torture.py``: bombs, endless lines, damaged models to export, plan and correct with.

The honest input has a Transformer that can be exported, with heads and a lexicon for alignment, and a translation
memory with corrections.
"""

import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from hostile_bombs import FEW_LINES, UNITS, compressed_text, document
from hostile_commands import DISTURBANCES, NUMBERS, changed_json
from hostile_input import BOMB, RECIPE, SCALARS, Case, changed_bytes, make_endless, paths_of, write_corpus

from nmt.core.model_directory import ModelDirectory

LAYERS = {"type": "transformer", "num_layers": 1, "num_heads": 2, "feed_forward_size": 16}
MODEL = {"embedding_size": 16, "tie": "all", "encoder": LAYERS, "decoder": LAYERS}
SMALL = (
    "model.embedding_size=16", "model.encoder.num_layers=1", "model.decoder.num_layers=1", "model.encoder.num_heads=2",
    "model.decoder.num_heads=2", "training.batch_tokens=40", "vocabulary.size=150",
)  # fmt: skip
"""Settings with which `nmt plan` takes little time."""
SHORT = ("training.max_steps=2", "training.validate_every=1", "training.schedule={warmup_steps: 1}", "device=cpu")
"""Settings with which `nmt learn-corrections` takes little time."""
TARGETS = {"huggingface": 10, "ctranslate2": 10, "argos": 6, "onnx": 1, "web": 1}
"""Formats of exports with weights: those to ONNX take seconds."""
READERS = """\
check-data X few.de
check-data few.en few.de --test X few.de
clean X few.de -o out
score X few.de
compare few.de X -r few.de --samples 20
inspect lengths X -r few.de -o out.svg
learn-vectors X -o out --epochs 1
plan X few.de
aer X gold
aer links gold --possible X
memory model --import X
recipes X
train X -o run
check-data few.en few.de --vocabulary X
clean few.en few.de -o out --filters X
train recipe.yaml -o run --set vocabulary.path=X
train recipe.yaml -o run --set data.train={"source":"X","target":"corpus/train.de"} --set training.max_steps=1
""".splitlines()
"""Commands that read a file, without taking time for each line that isn't empty."""
TRANSLATORS = """\
translate model -i X -o out --beam-size 1
translate model -i X --input-format jsonl
translate model -i few.en --replace-unknown --unknown-lexicon X
translate model --score-only X few.de -o out
align model X few.de -o out
align model few.en few.de --gold X -o out.html
align model few.en X -o out.svg
learn-alignment model few.en X
calibrate model X few.de
backtranslate model -i X -o out
rerank X -o out
verify model X
""".splitlines()
LINES = (
    "a", " ", "a ", "\0", "\t", "\u0301", "\u200b", "日", "1", "1.", ". ", "-", "<b>", "</b>", "&amp;", "[", "{", "\\",
    '"', "'", "*", "`", "0-0 ", "1-2-3 ", "Hund ", "a@b.c ", "http://a.b/", "\u2028", "\r", "\ufeff", "😀", "é", "{x} ",
    "%s ", ",", ":", "- ", "a: ", "▁", "[1,", '{"a":', "1e9", "0",
)  # fmt: skip
"""What a long line repeats."""
BEGINNINGS = (
    "", "", "Hund\n", '{"source": "', "a: ", '"', "[", "en,de\n", "1\n00:00:01,000 --> 00:00:02,000\n",
    '<tmx><body><tu><tuv xml:lang="en"><seg>',
)  # fmt: skip
ENDS = ("", "\n", '"}\n', "]\n", "\nHund\n", '"\n')
SIZES = (100_000, (1 << 17) - 1, (1 << 17) + 1, 1_000_000, 8_000_000, 50_000_000)
"""Bytes of a line; the limit is 1 << 17."""


def make_files(folder: Path) -> None:
    """The honest input of these kinds."""
    import nmt

    corpus = write_corpus(folder / "corpus", train=160, valid=20, test=4)
    for language in ("en", "de"):
        shutil.copyfile(folder / "corpus" / f"test.{language}", folder / f"few.{language}")
    links = "".join(" ".join(f"{i}-{j}" for i, j in pair.links) + "\n" for pair in corpus["test"])
    for name in ("links", "gold"):
        (folder / name).write_text(links, "utf-8")
    (folder / "texts").mkdir()
    for name, pairs in (("one", corpus["valid"][:9]), ("two", corpus["valid"][5:])):
        rows = [f'"{pair.source}","{pair.target} {name}"\n' for pair in pairs]
        (folder / f"{name}.csv").write_text("en,de\n" + "".join(rows), "utf-8")
        (folder / "texts" / name).write_text("".join(f"{pair.source}\n" for pair in pairs), "utf-8")
    recipe = json.loads(json.dumps(RECIPE)) | {"model": MODEL, "vocabulary": {"type": "unigram", "size": 150}}
    recipe["decoding"] = {"beam_size": 1, "max_length": 8}
    (folder / "recipe.yaml").write_text(json.dumps(recipe), "utf-8")
    os.chdir(folder)
    os.environ["NMT_CACHE"] = str(folder / "cache")
    nmt.train("recipe.yaml", "model", overrides={"training.max_steps": 4, "training.checkpoint_every": 2})
    nmt.load("model").learn_alignment([(pair.source, pair.target) for pair in corpus["test"]])
    nmt.TranslationMemory("model").add([(pair.source, pair.target) for pair in corpus["train"][:140]])


class FileKinds:
    """Makes cases of these kinds; see :class:`hostile_input.Kinds`.

    Args:
        base: the folder of :func:`make_files`.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        paths = sorted(path for path in (base / "model").rglob("*") if path.is_file() and path.name != ".lock")
        self.model_files = [str(path.relative_to(base)) for path in paths]

    def bomb(self, rng: random.Random) -> Case:
        """Small files that expand, in the formats of text and of documents."""
        if rng.random() < 0.5:
            ending, content, described = document(rng)
            command = f"translate model FILE{ending} -o out{ending} --beam-size 1{rng.choice(('', ' --mark 0'))}"
            if ending == ".tmx":
                command = f"memory model --import FILE{ending}"
        elif rng.random() < 0.5:
            ending, content, described = compressed_text(rng, UNITS)
            command = rng.choice(READERS)
        else:
            ending, content, described = compressed_text(rng, FEW_LINES)
            command = rng.choice(TRANSLATORS)
        return _reader("bomb", command, ending, content, described)

    def line(self, rng: random.Random) -> Case:
        """Lines of up to 50 MB, in all files that are read."""
        unit, size, begin, end = (rng.choice(each) for each in (LINES, SIZES, BEGINNINGS, ENDS))
        content = begin.encode() + unit.encode() * max(size // len(unit.encode()), 1) + end.encode()
        described = f"{begin!r} {unit!r} to {size:,} bytes {end!r}"
        match rng.randrange(4):
            case 0:
                name = rng.choice([*self.model_files, "recipe.yaml", "corpus/train.en", "corpus/valid.de"])
                command = rng.choice((*EXPORTED, *USERS))
                return Case(
                    "line", command.split(), lambda folder: _write(folder / name, content), f"{name}: {described}"
                )
            case 1:
                ending = rng.choice((".txt", ".html", ".md", ".srt", ".po", ".xliff", ".docx", ".odt"))
                command = f"translate model FILE{ending} -o out{ending} --beam-size 1"
                return _reader("line", command, ending, content, described, 1 + len(content) / PATIENT_BYTES)
            case 2:
                return _reader(
                    "line", rng.choice(READERS), rng.choice(("", ".csv", ".tmx", ".yaml", ".txt")), content, described
                )
            case _:
                if size < SIZES[2]:  # within the limit: each step of the search would read 100,000 pieces
                    content = content[:3000]
                return _reader("line", rng.choice(TRANSLATORS), "", content, described)

    def export(self, rng: random.Random) -> Case:
        """Models with damaged files, and sound files of other models, to every format."""
        name, seed = rng.choice(self.model_files), rng.random()
        if rng.random() < 0.5:
            name = rng.choice(("model/model.safetensors", "model/recipe.yaml", self._vocabulary()))

        def prepare(folder: Path) -> None:
            damage(folder / name, random.Random(seed))

        [target] = rng.choices(list(TARGETS), list(TARGETS.values()))
        arguments = ["export", "model", "-o", "out", "--to", target]
        if rng.random() < 0.3:
            arguments += ["--quantization", rng.choice(("float32", "int8", "int16", "float16", "bfloat16"))]
        patience = 2.0 if target == "web" else 1.0  # four networks are written
        return Case("export", arguments, prepare, f"{name} damaged with {seed}", patience=patience, outputs=("out",))

    def plan(self, rng: random.Random) -> Case:
        """Text that a plan is made of, with its settings."""
        names = ("corpus/train.en", "corpus/train.de", "corpus/valid.en", "corpus/valid.de")
        name, seed = rng.choice(names), rng.random()

        def prepare(folder: Path) -> None:
            own, path = random.Random(seed), folder / name
            if own.random() < 0.6:
                text = path.read_text("utf-8")
                for disturb in own.sample(DISTURBANCES, own.randrange(1, 3)):
                    text = disturb(text)
                path.write_bytes(text.encode(own.choice(("utf-8", "utf-8", "utf-16", "cp037")), "replace"))
            else:
                damage(path, own)
            if path.is_fifo():  # a command rightly waits for its writer
                path.unlink()

        settings = [*SMALL, *(f"{rng.choice(PLANNED)}={rng.choice(SCALARS)}" for _ in range(rng.choice((0, 0, 1))))]
        arguments = ["plan", *names[:2], *(argument for each in settings for argument in ("--set", each))]
        arguments += ["--valid", *names[2:]] if "valid" in name or rng.random() < 0.3 else []
        if rng.random() < 0.5:
            arguments += ["-o", "out", "--minutes", rng.choice(("5", "5", *NUMBERS))]
        return Case("plan", arguments, prepare, f"{name} changed with {seed}", patience=6, outputs=("out",))

    def corrections(self, rng: random.Random) -> Case:
        """Damaged memories, models, and runs that were stopped."""
        seed = rng.random()
        name = rng.choice(("model/memory.sqlite", "corpus/train.en", "corpus/valid.de", *self.model_files))
        how = rng.choice(("damage", "damage", "entries", "tables", "left"))

        def prepare(folder: Path) -> None:
            own = random.Random(seed)
            if how == "damage":
                damage(folder / name, own)
            else:
                {"entries": _change_entries, "tables": _change_tables, "left": _leave_run}[how](folder, own)

        arguments = ["learn-corrections", "model", *(part for each in SHORT for part in ("--set", each))]
        if rng.random() < 0.2:
            arguments += [rng.choice(("--share", "--set")), rng.choice((*NUMBERS, "data.valid=null", "seed=x", "="))]
        return Case("corrections", arguments, prepare, f"{how} {name} with {seed}", patience=2)

    def _vocabulary(self) -> str:
        return next(name for name in self.model_files if "vocabulary" in name)


USERS = (
    "translate model -i few.en", "align model few.en few.de", "inspect run model", "average model --last 2 -o out",
    "train recipe.yaml -o model --resume --set training.max_steps=5", "calibrate model few.en few.de", "memory model",
    "train recipe.yaml -o run --set training.max_steps=1 --set training.finetune_from=model", "verify model --limit 2",
)  # fmt: skip
PATIENT_BYTES = 3_000_000
"""Bytes of a document for which a command that translates it gets the seconds of another case."""
EXPORTED = tuple(f"export model -o out --to {target}" for target in ("huggingface", "ctranslate2", "argos"))
PLANNED = (
    "training.precision", "training.max_steps", "seed", "data.max_length", "vocabulary.type", "vocabulary.size",
    "model.encoder.type", "model.tie", "decoding.beam_size", "training.techniques", "data.valid", "data.source",
)  # fmt: skip


def _reader(kind: str, command: str, ending: str, content: bytes, described: str, patience: float = 1.0) -> Case:
    """A command that reads a file, whose output is ``out…``."""
    arguments = [part.replace("X", "FILE" + ending) if "X" in part else part for part in command.split()]
    outputs = tuple(part for part in arguments if part.startswith("out"))
    return Case(
        kind, arguments, lambda folder: _write(folder / f"FILE{ending}", content), described, outputs=outputs,
        patience=patience,
    )  # fmt: skip


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def damage(path: Path, rng: random.Random) -> None:
    """Change a file of a model, or of text, so that it is damaged or that of another model."""
    kinds: list[Callable[[Path, random.Random], object]] = [_damage_bytes, _damage_bytes, _damage_place, make_endless]
    if path.suffix == ".safetensors":
        kinds += [_change_weights] * 8
    elif path.suffix == ".yaml":
        kinds += [_change_recipe] * 8
    elif path.suffix in (".json", ".jsonl"):
        kinds += [_change_json] * 4
    elif "vocabulary" in path.name:
        kinds += [_change_vocabulary] * 4
    rng.choice(kinds)(path, rng)


def _damage_bytes(path: Path, rng: random.Random) -> None:
    path.write_bytes(changed_bytes(path.read_bytes(), rng))


def _damage_place(path: Path, rng: random.Random) -> None:
    """Put something else in place of a file."""
    others = [other for other in path.parent.iterdir() if other.is_file() and other != path]
    content = rng.choice(others).read_bytes() if others else b""
    path.unlink()
    places: tuple[Callable[[], object], ...] = (
        lambda: None, lambda: os.mkfifo(path), path.mkdir, lambda: path.write_bytes(content),
        lambda: path.write_bytes(BOMB.encode()), lambda: path.symlink_to(path.name), lambda: path.write_bytes(b""),
    )  # fmt: skip
    rng.choice(places)()


def _change_weights(path: Path, rng: random.Random) -> None:
    """Other numbers, shapes, types and names of tensors."""
    import torch
    from safetensors.torch import load, save

    tensors = dict(load(path.read_bytes()))
    for name in rng.sample(sorted(tensors), rng.choice((1, 1, 3, len(tensors)))):
        tensor = torch.atleast_1d(tensors[name])
        changes: tuple[Callable[[], Any], ...] = (
            lambda t=tensor: t * float("nan"), lambda t=tensor: t + float("inf"), lambda t=tensor: t * 1e38,
            lambda t=tensor: t * 1e20, lambda t=tensor: t * 0, lambda t=tensor: t[:1], lambda t=tensor: t[:0],
            lambda t=tensor: t.double(), lambda t=tensor: t.half(), lambda t=tensor: t.to(torch.int64),
            lambda t=tensor: t.flatten().repeat(2), lambda t=tensor: t.flatten(), lambda t=tensor: t[None],
            lambda t=tensor: t.bool(), lambda t=tensor: torch.zeros(()),
        )  # fmt: skip
        tensors[name] = rng.choice(changes)().contiguous()
        if rng.random() < 0.1:
            tensors["x" * rng.choice((1, 5000))] = tensors.pop(name)
    path.write_bytes(save(tensors))


def _change_recipe(path: Path, rng: random.Random) -> None:
    """One value of a recipe, as YAML."""
    values = yaml.safe_load(path.read_text("utf-8"))
    *groups, last = rng.choice(list(paths_of(values)))
    inner = values
    for group in groups:
        inner = inner[group]
    inner[last] = "MARK"
    text = yaml.safe_dump(values, allow_unicode=True, sort_keys=False)
    path.write_bytes(text.replace("MARK", rng.choice(SCALARS)).encode("utf-8", "surrogateescape"))


def _change_json(path: Path, rng: random.Random) -> None:
    lines = path.read_text("utf-8").splitlines() if path.suffix == ".jsonl" else [path.read_text("utf-8")]
    at = rng.randrange(len(lines))
    lines[at] = json.dumps(changed_json(json.loads(lines[at]), rng))
    path.write_text("\n".join(lines) + "\n", "utf-8", "surrogatepass")


def _change_vocabulary(path: Path, rng: random.Random) -> None:
    """A vocabulary of another size, learned from other text."""
    import sentencepiece

    words = [bytes(rng.choices(b"abcdefghij", k=4)).decode() for _ in range(400)]
    at = path.with_name("other")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(words), model_prefix=str(at), vocab_size=rng.choice((40, 100)),
        model_type=rng.choice(("unigram", "bpe", "char")), hard_vocab_limit=False, minloglevel=3,
    )  # fmt: skip
    Path(f"{at}.model").replace(path)
    Path(f"{at}.vocab").unlink()


def _change_entries(folder: Path, rng: random.Random) -> None:
    """Other texts in the translation memory."""
    text = rng.choice(("", " ", "\n", "a\nb", "\0", "x" * 2_000_000, "\ud7ff", "\x85", "</s>", "a " * 5000, "\u202e"))
    value = rng.choice((text, text, text, None, 3, 0.5, b"\xff\xfe"))
    column, where = rng.choice(("source", "target", "changed")), rng.choice(("id = 1", "id % 7 = 0", "1"))
    if rng.random() < 0.3:
        _execute(folder, "DELETE FROM entries WHERE id > ?", rng.choice((0, 10, 99)))
    else:
        joined = "? || id" if column == "source" and value is text else "?"  # sources differ from each other
        _execute(folder, f"UPDATE OR IGNORE entries SET {column} = {joined} WHERE {where}", value)


def _change_tables(folder: Path, rng: random.Random) -> None:
    """Other tables in the database."""
    _execute(folder, rng.choice((
        "DROP TABLE entries", "DROP TABLE words", "ALTER TABLE entries RENAME TO others", "CREATE TABLE more (a)",
        "ALTER TABLE entries DROP COLUMN target", "ALTER TABLE entries ADD COLUMN more TEXT",
        "PRAGMA user_version = 99",
        "CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM entries; END", "PRAGMA application_id = 7",
        "CREATE VIEW v AS SELECT * FROM entries", "DELETE FROM entries", "PRAGMA journal_mode = DELETE",
        "UPDATE entries SET id = id + 9223372036854775000", "INSERT INTO words (words) VALUES ('delete-all')",
    )))  # fmt: skip


def _execute(folder: Path, statement: str, *values: Any) -> None:
    database = sqlite3.connect(folder / "model" / "memory.sqlite", isolation_level=None)
    try:
        database.execute(statement, values)
    except sqlite3.Error:  # the table doesn't allow such a value: the memory stays as it was
        pass
    finally:
        database.close()


def _leave_run(folder: Path, rng: random.Random) -> None:
    """What a stopped run could have left, damaged."""
    corrections = ModelDirectory(folder / "model").file("corrections")
    match rng.randrange(5):
        case 0:
            corrections.write_bytes(b"")
        case 1:
            corrections.mkdir()
        case 2:
            corrections.symlink_to(rng.choice(("corrections", "../corpus", "/nowhere")))
        case _:
            corrections.mkdir()
            for name in ("test", "valid", "new", "compared", "old"):
                for language, side in (("en", "source"), ("de", "target")):
                    text = (folder / "corpus" / f"valid.{language}").read_bytes()
                    path = corrections / f"{name}.{side}"
                    path.write_bytes(text if rng.random() < 0.8 else changed_bytes(text, rng))
            run = rng.choice((None, "model", "corpus"))
            if run:
                shutil.copytree(
                    folder / run, corrections / "run", ignore=shutil.ignore_patterns(".lock", "corrections")
                )
