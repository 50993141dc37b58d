"""More hostile input for ``tools/checks/torture.py``: any options of any command, strange files, texts and places.

The commands and their options are those of the program itself, so new ones are tried without a change here.
"""

import json
import os
import random
import resource
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from hostile_bombs import archive, entry
from hostile_input import Case, Kinds, changed_bytes

LONG_RUNNING = ("serve", "quickstart")
"""Commands that run until they are stopped, or for minutes."""

TEXTS = ("few.en", "few.de", "corpus/valid.en", "corpus/valid.de")
FILES = (
    *TEXTS, "links", "gold", "recipe.yaml", "model", "model/recipe.yaml", "model/metrics.jsonl", "corpus", "records",
)  # fmt: skip
NUMBERS = (
    "0", "1", "2", "3", "-1", "7", "1e3", "0.5", "-0.0", "nan", "inf", "-inf", "1e-320", "٣", "0x10",
    "9" * 18, "9" * 400,
)  # fmt: skip
WORDS = (
    "", " ", "-", "--", "a,b", ",", "*", "é", "%s", "{0}", "${HOME}", "~", "null", "true", "bleu", "chrf",
    "1:2", "a=b", "[1", "Hund", "\u202eabc", "\udc80", "x" * 3000, "a\nb", "a\tb", "{a: 1}", "size: 3",
    "no_repeat_ngram: {size: 0}",
)  # fmt: skip
OUTPUTS = (
    "out", "out.json", "out.svg", "out.png", "out.html", "out.tsv", "out.gz", "out.xz", "few.en", "model", ".",
    "no/such/out", "corpus/out", "/dev/null", "/dev/full", "out.", "o" * 300, "out\n", "-",
)  # fmt: skip
HONEST = """\
translate model -i few.en -o out --beam-size 1
align model few.en few.de -o out.html
score few.de few.de
compare few.de few.en -r few.de --samples 20 --html out.html
check-data few.en few.de
clean few.en few.de -o cleaned
aer links gold
learn-alignment model few.en few.de
inspect run model
verify model few.en
inspect lengths few.de -r few.de -o out.svg
translate model --score-only few.en few.de
rerank records
train recipe.yaml -o run --set training.max_steps=1
recipes --keys
""".splitlines()
"""Commands that work."""
READERS_OF_MODELS = """\
translate model -i few.en --beam-size 1
inspect run model --json
align model few.en few.de
train recipe.yaml -o model --resume --set training.max_steps=5
average model -o mean
verify model few.en
""".splitlines()
READERS_OF_RECORDS = ("rerank records", "translate model -i records --input-format jsonl --beam-size 1")
DOCUMENTS = (
    b"<html><body><p>Hund <b>und</b> Katze</p>",
    b'msgid "Hund %s :ref:`a`"\nmsgstr ""\n',
    b"# Hund\n\n* *Katze* `x` [a](b)\n",
    b"1\n00:00:01,000 --> 00:00:02,000\nHund\n",
    b"PK\x03\x04",
    b'<?xml version="1.0"?><xliff version="1.2"><file/></xliff>',
    b'{"a": [{"Hund": "Hund und Katze"}, 1.5e9, null, "\\ud800 Hund", "<b>Hund</b> {n}"]}',
    b"a: &a Hund und Katze\nb: |2-\n   Hund\nc: [*a, !!python/object/apply:os.system [Hund]]\nd: &d [*d]\n<<: *d\n",
    b"a: &a [Hund,Hund]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n",
    b'Name,"Der ""Text""",=1+1\r\n"Hund",Hund;Katze\t5,"Hund\n',
    b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a><b c="Hund">Hund <d/> Katze</b></a>',
    archive([entry(".xlsx", b"<sst/>"), (b"xl/vbaProject.bin", 0, 0, 4, b"Hund")]),
)
SUFFIXES = (
    ".html", ".po", ".md", ".srt", ".vtt", ".xlf", ".xliff", ".docx", ".odt", ".txt.gz", ".epub", ".pot", ".json",
    ".yaml", ".csv", ".tsv", ".xml", ".xlsx", ".pptx", ".ods", ".odp",
)  # fmt: skip
JSON_VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 10**30, 1e300, float("nan"), float("inf"), "", "a", "\ud800", "a\nb", "x" * 5000),
    *([], {}, [[]], {"": {}}, ["a"], {"a": 1}, [0.5] * 300, [None, 3]),
)
DISTURBANCES: tuple[Callable[[str], str], ...] = (
    lambda text: "\ufeff" + text,
    lambda text: text.replace("\n", "\r"),
    lambda text: text.replace("\n", "\u2028"),
    lambda text: text.replace(" ", "\u00a0"),
    lambda text: text.replace("e", "e\u0301\u0323"),
    lambda text: text.replace(" ", ""),
    lambda text: text.replace(" ", " \u200b\u200e "),
    lambda text: text.replace("a", "\U0001f469\u200d\U0001f4bb"),
    lambda text: text.replace("\n", "\n\n\n"),
    lambda text: text.replace("\n", " " * 4000 + "\n"),
    lambda text: text.rstrip("\n"),
    lambda text: text.split("\n")[0] + "\n",
    lambda text: text * 20,
    lambda text: "\n" * 500,
    lambda text: text.upper() + "\x00\x01\x1b[31m",
    lambda text: "</s> <s> <unk> <pad> ▁ <0x41> &lt;b&gt;\n" * 4,
)
ENVIRONMENTS: dict[str, tuple[str, ...]] = {
    "COLUMNS": ("0", "-1", "1", "x", "100000"), "TERM": ("dumb", "", "nonsense"), "LANG": ("C", "tr_TR.UTF-8", ""),
    "HOME": ("/nonexistent", ""), "TMPDIR": ("/nonexistent", "."), "NMT_CACHE": ("/dev/null", "few.en", ""),
    "NMT_MAX_LINE_BYTES": ("1", "0", "x", "9" * 30), "NMT_MAX_COMPRESSION_RATIO": ("1", "-1", "1.5"),
    "OMP_NUM_THREADS": ("0", "x", "1"), "NO_COLOR": ("1",), "FORCE_COLOR": ("1",), "SACREBLEU_SEED": ("x", "-1", "3"),
    "MPLBACKEND": ("nonsense",), "CUDA_VISIBLE_DEVICES": ("x",), "LOCAL_RANK": ("1",), "RANK": ("0",),
    "WORLD_SIZE": ("0", "x"),
}  # fmt: skip


def all_commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yields the names and the commands of the program."""
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "list_commands"):
            yield from all_commands(command, (*path, name))
        elif name not in LONG_RUNNING:
            yield (*path, name), command


class NewKinds(Kinds):
    """Makes cases of further kinds; see :class:`hostile_input.Kinds`."""

    def __init__(self, base: Path) -> None:
        from nmt.cli import app

        super().__init__(base)
        self.commands = list(all_commands(typer.main.get_command(app)))

    def command(self, rng: random.Random) -> Case:
        """Any command with any options, whose values are mostly of the right type."""
        names, command = rng.choice(self.commands)
        given: list[str] = []
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        options = [each for each in command.params if each.param_type_name == "option" and "--help" not in each.opts]
        for argument in arguments:
            many = rng.randrange(1, 4) if argument.nargs != 1 else 1
            given += [self._value(argument, rng) for _ in range(many if argument.required or rng.random() < 0.6 else 0)]
        wanted = [each for each in options if each.required]
        for option in [*wanted, *rng.sample(options, min(len(options), rng.randrange(5)))]:
            given.append(rng.choice([*option.opts, *option.secondary_opts]))
            if not option.is_flag:
                given += [self._value(option, rng) for _ in range(max(option.nargs, 1))]
        return Case("command", [*names, *given])

    def _value(self, parameter: Any, rng: random.Random) -> str:
        name, kind = parameter.name or "", parameter.type_descriptor.annotation
        if rng.random() < 0.1:
            return rng.choice((*NUMBERS, *WORDS, *FILES, *OUTPUTS))
        if get_origin(kind) in (list, tuple):
            kind = get_args(kind)[0]
        if get_origin(kind) is Literal:
            return str(rng.choice(get_args(kind)))
        if kind in (int, float):
            return rng.choice(NUMBERS)
        if "model" in name or name in ("run", "runs", "directory"):
            return "model"
        if "output" in name or name in ("html", "save", "table"):
            return rng.choice(OUTPUTS)
        if name == "recipe":
            return "recipe.yaml"
        if kind is Path or "file" in name or "path" in name:
            return rng.choice(FILES)
        return rng.choice((*WORDS, *TEXTS, *TEXTS))

    def text(self, rng: random.Random) -> Case:
        """Texts that are valid, but strange."""
        name, how = rng.choice(TEXTS), rng.sample(DISTURBANCES, rng.randrange(1, 3))
        encoding = rng.choice(("utf-8", "utf-8", "utf-8", "utf-16", "utf-32", "cp037", "utf-7"))

        def prepare(folder: Path) -> None:
            text = (folder / name).read_text("utf-8")
            for disturb in how:
                text = disturb(text)
            (folder / name).write_bytes(text.encode(encoding, "replace"))

        return Case(
            "text", [part.replace("few.en", name) for part in rng.choice(HONEST).split()], prepare, f"{name} {encoding}"
        )

    def place(self, rng: random.Random) -> Case:
        """Files in place of folders and the reverse, links in circles, sockets, and outputs that are inputs."""
        arguments, what = rng.choice(HONEST).split(), rng.randrange(7)
        places = [i for i, part in enumerate(arguments) if (self.base / part).exists() or part.startswith("out")]
        if not places:
            return self.command(rng)
        number = rng.choice(places)
        name = arguments[number]

        def prepare(folder: Path) -> None:
            path = folder / name
            moved = folder / "moved"
            if path.exists():
                path.rename(moved)
            if what == 0:
                path.symlink_to(path.name)
            elif what == 1:
                path.symlink_to("no/such/file")
            elif what == 2:
                path.mkdir(exist_ok=True)
                (path / "content").write_text("a\n")
            elif what == 3:
                with socket.socket(socket.AF_UNIX) as bound:
                    bound.bind(str(path)[-100:] if len(str(path)) < 100 else os.path.relpath(path))
            elif what == 4 and moved.exists():
                path.symlink_to(moved)
            elif what == 5:
                path.write_bytes(b"")
            else:
                path.write_bytes(os.urandom(300))

        if what == 6 and "-o" in arguments:
            arguments[arguments.index("-o") + 1] = rng.choice(arguments[1:3])
            return Case("place", arguments)
        return Case("place", arguments, prepare, f"{name} {what}")

    def environment(self, rng: random.Random) -> Case:
        """Variables of the environment, closed streams, and limits of the system."""
        changes = {name: rng.choice(ENVIRONMENTS[name]) for name in rng.sample(list(ENVIRONMENTS), rng.randrange(1, 4))}
        closed = rng.choice((None, None, 0, 1))
        sizes = [(resource.RLIMIT_FSIZE, size) for size in (5000, 50_000)]
        limit = rng.choice((None, None, *sizes, (resource.RLIMIT_NOFILE, 12)))

        def set_up() -> None:
            os.environ.update(changes)
            if limit is not None:
                resource.setrlimit(limit[0], (limit[1], limit[1]))
            if closed is not None:  # as Python starts where a stream is closed
                os.close(closed)
                setattr(sys, ("stdin", "stdout")[closed], None)

        return Case("environment", rng.choice(HONEST).split(), described=f"{changes} {closed} {limit}", set_up=set_up)

    def record(self, rng: random.Random) -> Case:
        """JSON of models and of candidates with values of other types."""
        names = [name for name in self.model_files if name.endswith((".json", ".jsonl"))] + ["records"]
        name, seed = rng.choice(names), rng.random()

        def prepare(folder: Path) -> None:
            own = random.Random(seed)
            lines = (folder / name).read_text("utf-8").splitlines() if name.endswith("l") or name == "records" else None
            texts = lines or [(folder / name).read_text("utf-8")]
            at = own.randrange(len(texts))
            texts[at] = json.dumps(changed_json(json.loads(texts[at]), own), indent=None if lines else 1)
            (folder / name).write_text("\n".join(texts) + "\n", "utf-8", "surrogatepass")

        command = rng.choice(READERS_OF_RECORDS if name == "records" else READERS_OF_MODELS).split()
        return Case("record", command, prepare, f"{name} changed with {seed}")

    def document(self, rng: random.Random) -> Case:
        """Documents whose content doesn't fit their ending, or is damaged."""
        suffix, content = rng.choice(SUFFIXES), rng.choice(DOCUMENTS)
        content = changed_bytes(content * rng.choice((1, 1, 50)), rng)

        def prepare(folder: Path) -> None:
            (folder / f"document{suffix}").write_bytes(content)

        arguments = ["translate", "model", f"document{suffix}", "-o", f"done{suffix}", "--beam-size", "1"]
        arguments += rng.choice(([], ["--mark", "0"]))
        return Case("document", arguments, prepare, repr(content[:300]))


def changed_json(value: Any, rng: random.Random) -> Any:
    """Replaces, deletes or adds one value somewhere in a JSON document."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        if rng.random() < 0.1:
            return {name: inner for name, inner in value.items() if name != key}
        return value | {key: changed_json(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.7:
        at = rng.randrange(len(value))
        return [*value[:at], changed_json(value[at], rng), *value[at + 1 :]]
    return rng.choice(JSON_VALUES)
