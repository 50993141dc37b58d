"""Made-up corpora of many scripts and with all kinds of noise, for ``nmt train TEXT… --minutes M``.

The words are invented from the letters of a script, and word n of one language translates word n of the other one. A
command that succeeds must leave a model that translates, and hold out nothing that it trains on; one that is refused
must leave nothing that blocks the next try.
"""

import bz2
import csv
import gzip
import io
import json
import lzma
import math
import os
import random
import re
import signal
import sys
import unicodedata
from collections.abc import Callable
from html import escape
from pathlib import Path

from hostile_bombs import document
from hostile_input import Case, changed_bytes, make_endless
from kill_runs import comparable

Pairs = list[tuple[str, str]]
SCRIPTS = {
    "de": "abcdefghijklmnopqrstuvwxyzäöüß", "en": "abcdefghijklmnopqrstuvwxyz",
    "vi": "aăâbcdđeêghiklmnoôơpqrstuưvxyạảấầ", "tr": "abcçdefgğhıijklmnoöprsştuüvyzİI",
    "ru": "абвгдежзийклмнопрстуфхцчшщъыьэюя", "el": "αβγδεζηθικλμνξοπρστυφχψωάές",
    "ar": "ابتثجحخدذرزسشصضطظعغفقكلمنهويًَُِ", "he": "אבגדהוזחטיכלמנסעפצקרשת",
    "hi": "कखगघचजटडतदनपबमयरलवशसहािीुूे्ं", "th": "กขคงจชซดตถทนบปผพมยรลวสหอะาิีุเแโ่้",
    "zh": "的一是不了人我在有他这中大来上国个到说们为子和你",
    "ja": "あいうえおかきくけこさしすせそアイウエオカキ日本語",
    "ko": "가나다라마바사아자차카타파하거너더러머버서", "ka": "აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰ",
    "hy": "աբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆ", "am": "ሀለሐመሠረሰሸቀበተቸኀነኘአከኸወዐዘዠየደጀገ",
    "ta": "கஙசஞடணதநபமயரலவழளறனாிீுூெே்", "bn": "কখগঘচছজঝটঠডঢতথদধনপফবভমািীুূে্",
    "km": "កខគឃងចឆជឈញដឋឌឍណតថទធនបផពភមាិីឹុូេ្", "xx": "😀😃🐶🐱🏠🚗🌳🌞👍🏽👩\u200d👧❤️", "yy": "0123456789.,",
    "zz": "!?*#-—…„“«»",
}  # fmt: skip
"""Letters by code of a language; the last three have no letters."""
UNSPACED = ("th", "zh", "ja", "km")
STRANGE = (
    "\0", "\x1b[31m", "\x85", "\u2028", "\u2029", "\ufeff", "\u202e", "\u200b", "\ufffd", "\t", "\r", "\x0b", "\x7f",
    "\u0301" * 30, "</s>", "<unk>", "▁", "\\", '"', "%s {0}", "\U000e0041", "\ufdfa", "ﬁ", "\ud7ff", "�", "$(ls)",
)  # fmt: skip
SIZES = (1, 2, 3, 5, 12, 39, 40, 41, 60, 100, 200, 300, 500, 1000, 2000)
NAMES = ("text", "text", "zwei Wörter", "日本", "a.b", "-x", "x" * 200, "a'b$c", "[red]")
TINY = tuple(
    part
    for setting in (
        "model.embedding_size=16", "model.encoder.num_layers=1", "model.decoder.num_layers=1", "device=cpu",
        "model.encoder.num_heads=1", "model.decoder.num_heads=1", "decoding.max_length=20", "training.batch_tokens=256",
    )
    for part in ("--set", setting)
)  # fmt: skip
SECONDS_OF_MINUTE = 2.0
"""What a minute of ``--minutes`` takes in a case."""


def make_texts(folder: Path) -> None:
    """The honest input: a text and a model that was trained on it."""
    import nmt
    from nmt.recipe.load import parse_settings

    folder.mkdir()
    pairs = invented(random.Random(1), "en", "de", 300)
    for at, language in enumerate(("en", "de")):
        (folder / f"good.{language}").write_text("".join(f"{pair[at]}\n" for pair in pairs), "utf-8")
    (folder / "few.en").write_text("".join(f"{source}\n" for source, _ in pairs[:5]), "utf-8")
    os.chdir(folder)
    overrides = parse_settings(TINY[1::2])
    nmt.train("good.en", "good.de", output="model", minutes=0.03, overrides=overrides)


def invented(rng: random.Random, source: str, target: str, size: int) -> Pairs:
    """Pairs of sentences whose words translate each other one by one."""
    num_words = rng.choice((3, 30, 300, 3000))
    words = [
        ["".join(rng.choices(SCRIPTS[language], k=rng.randrange(1, 9))) for _ in range(num_words)]
        for language in (source, target)
    ]
    ranks, longest, pairs = [1 / (n + 1) for n in range(num_words)], rng.choice((1, 4, 12, 30)), []
    for _ in range(size):
        chosen = rng.choices(range(num_words), ranks, k=rng.randrange(1, longest + 1))
        sides = [("" if code in UNSPACED else " ").join(own[n] for n in chosen)
                 for code, own in zip((source, target), words, strict=True)]  # fmt: skip
        pairs.append((sides[0].capitalize() + rng.choice(("", ".", "!")), sides[1]))
    return pairs


# Noise


def _some(pairs: Pairs, rng: random.Random, change: Callable[[str, str], tuple[str, str]]) -> Pairs:
    share = rng.choice((0.01, 0.3, 0.7, 1.0))
    return [change(*pair) if rng.random() < share else pair for pair in pairs]


def _inserted(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(STRANGE) + text[at:]


def _long(pairs: Pairs, rng: random.Random) -> Pairs:
    words = (" ".join((pair[0], pair[1]) * 9) for pair in pairs)
    long = "".join(words)[: rng.choice((500, 5000, 20_000))]
    return [*pairs, *[rng.choice(((long, long[::-1]), (long, "a"), ("x" * len(long), long)))] * rng.choice((1, 5))]


NOISE: dict[str, Callable[[Pairs, random.Random], Pairs]] = {
    "empty sides": lambda pairs, rng: _some(pairs, rng, lambda s, t: rng.choice((("", t), (s, " "), ("", "")))),
    "copies": lambda pairs, rng: _some(pairs, rng, lambda s, t: (s, s)),
    "duplicates": lambda pairs, rng: pairs + [rng.choice(pairs)] * rng.choice((10, 3000)),
    "one source": lambda pairs, rng: [(pairs[0][0], target) for _, target in pairs],
    "one pair": lambda pairs, rng: pairs[:1] * len(pairs),
    "alike": lambda pairs, rng: pairs + [(f"{s.upper()}, {n}!", f"{t} {n}") for n, (s, t) in enumerate(pairs)],
    "words": lambda pairs, rng: [(s.split()[0] if s.split() else s, t) for s, t in pairs],
    "long": _long,
    "strange": lambda pairs, rng: _some(pairs, rng, lambda s, t: (_inserted(s, rng), _inserted(t, rng))),
    "swapped": lambda pairs, rng: _some(pairs, rng, lambda s, t: (t, s)),
    "mixed": lambda pairs, rng: _some(pairs, rng, lambda s, t: (f"{s} {t}", f"{t} {s}")),
    "shifted": lambda pairs, rng: [(s, pairs[(at + 1) % len(pairs)][1] if at > len(pairs) // 2 else t)
                                   for at, (s, t) in enumerate(pairs)],
    "shuffled": lambda pairs, rng: [(s, rng.choice(pairs)[1]) for s, _ in pairs],
    "blank": lambda pairs, rng: [("", "")] * len(pairs),
    "white": lambda pairs, rng: [(" \u3000", "\xa0")] * len(pairs),
    "none": lambda pairs, rng: [],
    "other script": lambda pairs, rng: _some(pairs, rng, lambda s, t: (s, "ქართული ენა და სხვა ენები")),
    "quotes": lambda pairs, rng: _some(pairs, rng, lambda s, t: (f'"{s}, {s}', f"{t}\"\" & <b>'")),
    "decomposed": lambda pairs, rng: [(unicodedata.normalize("NFKD", s), t) for s, t in pairs],
}  # fmt: skip


HOPELESS = ("blank", "white", "none", "one pair", "copies")


def _lines(pairs: Pairs, side: int) -> bytes:
    return "".join(f"{pair[side]}\n" for pair in pairs).encode("utf-8", "surrogatepass")


def _damaged(content: bytes, rng: random.Random) -> tuple[bytes, str]:
    """The bytes of a file, changed in one of the ways that files are; and the ending for it."""
    match rng.randrange(16):
        case 0:
            return b"\xef\xbb\xbf" + content, ""
        case 1:
            return content.replace(b"\n", b"\r\n"), ""
        case 2:
            return content.decode("utf-8", "replace").encode(rng.choice(("utf-16", "utf-16-le", "utf-32"))), ""
        case 3:
            return content.replace(b"\n", b" \xed\xa0\x80\n", rng.choice((1, 99))), ""
        case 4:
            return content[: len(content) * 2 // 3], ""
        case 5:
            return content.rstrip(b"\n"), ""
        case 6:
            return content.decode("utf-8", "replace").encode("cp1252", "replace").replace(b"e", b"\xe4"), ""
        case 7:
            return changed_bytes(content, rng), ""
        case 8:
            return content + b"\n" * rng.choice((1, 2, 50)), ""
        case 9:
            return content.replace(b"\n", b"\n\n", rng.choice((1, 10**6))), ""
        case 10 | 11:
            pack, ending = rng.choice(((gzip.compress, ".gz"), (lzma.compress, ".xz"), (bz2.compress, ".bz2")))
            packed = pack(content)
            return packed if rng.random() < 0.7 else changed_bytes(packed, rng), rng.choice((ending, ending, ""))
        case 12:
            return content.replace(b"\n", b"\r"), ""
        case 13:
            return content.replace(b"\n", b"\0\n", rng.choice((1, 10**6))), ""
        case _:
            return content, ""


def _table(pairs: Pairs, codes: tuple[str, str], rng: random.Random) -> tuple[str, bytes]:
    """A file of both languages, and its ending."""
    kind = rng.choice((".tsv", ".csv", ".jsonl", ".tmx", ".xlf"))
    if kind == ".jsonl":
        keys: tuple[str, str] = rng.choice((codes, ("source", "target"), ("src", "tgt"), ("a", "b")))
        rows = [dict(zip(keys, pair, strict=True)) for pair in pairs]
        shapes: tuple[Callable[[dict[str, str]], object], ...] = (
            lambda row: row, lambda row: {"translation": row}, lambda row: {"translation": row, "id": 3},
            lambda row: row | {"id": "x", "score": 0.5}, lambda row: {keys[0]: row[keys[0]]}, lambda row: list(row),
            lambda row: {"a": {"b": row}}, lambda row: row | {keys[1]: None}, lambda row: {"translation": []} | row,
        )  # fmt: skip
        usual = rng.choice(shapes)
        lines = [json.dumps((usual if rng.random() < 0.99 else rng.choice(shapes))(row)) for row in rows]
        return kind, "".join(f"{line}\n" for line in lines).encode()
    if kind in (".tsv", ".csv"):
        heads = [codes, ("source", "target"), ("German", "English"), ("Source", "Target"), codes[::-1], None, None]
        rows: list[list[str]] = [[*pair, *rng.choice(((), (), ("3",)))] for pair in pairs[:1]]
        rows += [[*pair, *rows[0][2:]] for pair in pairs[1:]]
        if rng.random() < 0.1 and rows:
            rows[rng.randrange(len(rows))] = rng.choice(([], ["a"], ["a", "b", "c", "d"], [""]))
        head = rng.choice(heads)
        if head:
            rows.insert(0, [*head, *(["score"] if rows and len(rows[0]) > 2 else [])])
        if kind == ".tsv":
            return kind, "".join("\t".join(row) + "\n" for row in rows).encode("utf-8", "surrogatepass")
        text = io.StringIO()
        csv.writer(text, delimiter=rng.choice((",", ",", ",", ";"))).writerows(rows)
        return kind, text.getvalue().encode("utf-8", "surrogatepass")
    if rng.random() < 0.15:
        ending, content, _ = next(made for made in iter(lambda: document(rng), None) if made[0] in (".tmx", ".xliff"))
        return ending, content
    clean = [tuple(escape(re.sub(r"[^\t\n\x20-\ud7ff\ue000-\ufffc]", "", side)) for side in pair) for pair in pairs]
    if kind == ".tmx":
        units = "".join(
            f'<tu><tuv xml:lang="{codes[0]}"><seg>{s}</seg></tuv><tuv xml:lang="{codes[1]}"><seg>{t}</seg></tuv></tu>'
            for s, t in clean
        )
        text_ = (
            f'<tmx version="1.4"><header srclang="{rng.choice((codes[0], "*all*", ""))}"/><body>{units}</body></tmx>'
        )
    else:
        units = "".join(f"<trans-unit><source>{s}</source><target>{t}</target></trans-unit>" for s, t in clean)
        languages = rng.choice((f'source-language="{codes[0]}" target-language="{codes[1]}"', ""))
        text_ = f'<xliff version="1.2"><file {languages}><body>{units}</body></file></xliff>'
    if rng.random() < 0.3:
        text_ = text_.replace(
            rng.choice(("<seg>", "<source>", "</tu>", "xml:lang")), rng.choice(("&x;", "<x>", "&amp;")), 2
        )
    return kind, text_.encode("utf-8", "surrogatepass")


# Cases


class TextKinds:
    """Makes cases of this kind; see :class:`hostile_input.Kinds`.

    Args:
        base: the folder of :func:`make_texts`.
    """

    def __init__(self, base: Path) -> None:
        self.base = base

    def texts(self, rng: random.Random) -> Case:
        """A text that a model is trained on, with what is asked for."""
        codes = rng.choice(list(SCRIPTS)), rng.choice(list(SCRIPTS))
        size = rng.choice(SIZES) if rng.random() < 0.98 else 50_000
        noise = rng.choices(
            list(NOISE), [0.2 if name in HOPELESS else 1 for name in NOISE], k=rng.choice((0, 0, 1, 1, 2))
        )
        seed = rng.random()
        files, described = self._files(codes, size, noise, seed)
        given = list(files) if not any("/" in name for name in files) else ["folder"]
        given = [f"./{name}" if name.startswith("-") else name for name in given]
        if rng.random() < 0.03:
            given = rng.choice((given[:1], given * 2, [given[0]] * 2, [*given, "none.de"], given[::-1], ["."]))
        arguments = ["train", *given, "-o", "run", "--minutes", "0.5", *TINY]
        others, outputs = [["translate", "run", "-i", "few.en", "-o", "translated"]], ("run",)
        timer = 0.0
        match rng.randrange(12):
            case 0:
                arguments, others = [*arguments, "--dry-run"], []
            case 1:
                arguments += ["--from", rng.choice(("model", "model", "model", "folder", "good.en", "nowhere"))]
            case 2 | 3:
                arguments.append("--keep-all")
            case 4:
                arguments += ["--set", rng.choice((f"data.source={codes[0]}", "vocabulary.size=9", "model.width=3",
                                                   "vocabulary.size=100000", "data.max_length=1", "seed=7",
                                                   "vocabulary.type=word", "training.metric=bleu"))]  # fmt: skip
            case 5:
                arguments += ["--set", "data.source=" + rng.choice((codes[0], "a")), "--set", f"data.target={codes[1]}"]
            case 6:
                timer = rng.choice((0.1, 0.5, 1.0, 2.0, 4.0))
                others.insert(0, ["train", "--resume", "-o", "run"])
            case 7:
                others.insert(0, ["train", "run/recipe.yaml", "-o", "again", "-q"])
            case 8:
                others, outputs = [["train", "good.en", "good.de", "-o", "run", "--minutes", "0.5", *TINY], *others], ()
            case 9:
                arguments = [part for part in arguments if part not in ("--minutes", "0.5")]
                arguments += ["--set", "training.max_steps=3", "--set", "training.validate_every=2"]
            case _:
                pass

        def prepare(folder: Path) -> None:
            (folder / "folder").mkdir()
            for name, content in files.items():
                if content is None:
                    (folder / name).write_bytes(b"a")
                    make_endless(folder / name, random.Random(seed))
                else:
                    (folder / name).write_bytes(content)

        return Case(
            "texts", arguments, prepare, described, others=others, delay=math.inf, patience=2.0, outputs=outputs,
            set_up=lambda: _hurry(timer), is_killed=timer > 0,
            check=lambda folder, codes: _problems(folder, codes, arguments, others, is_killed=timer > 0),
        )  # fmt: skip

    def _files(
        self, codes: tuple[str, str], size: int, noise: list[str], seed: float
    ) -> tuple[dict[str, bytes | None], str]:
        """The files of a case by their names; None for one without an end."""
        rng = random.Random(seed)
        pairs = invented(rng, *codes, size)
        for kind in noise:
            if pairs:
                pairs = NOISE[kind](pairs, rng)
        files: dict[str, bytes | None] = {}
        layout, stem = rng.choice(("two", "two", "two", "four", "table", "table", "folder")), rng.choice(NAMES)
        endings: tuple[str, str] = rng.choice(
            (codes, codes, codes, ("txt", "text"), ("1", "2"), (f"{codes[0]}.txt",) * 2)
        )
        parts = [("folder/train", pairs), (rng.choice(("folder/valid", "folder/dev", "folder/test")), pairs[:20])]
        if layout == "table":
            ending, content = _table(pairs, codes, rng)
            files[stem + ending] = content
        else:
            if layout != "folder":
                parts = [(stem, pairs), ("more", pairs[::2])][: 2 if layout == "four" else 1]
            for name, own in parts:
                files |= {f"{name}.{ending}": _lines(own, side) for side, ending in enumerate(endings)}
            if layout == "folder":
                files |= {
                    f"folder/{name}": b"x\n"
                    for name in rng.sample((".DS_Store", "readme.md", ".train.swp", "train.txt~"), 1)
                }
        if rng.random() < 0.25:
            name = rng.choice(list(files))
            content, ending = _damaged(files.pop(name) or b"", rng)
            files = {name + ending: content} | files if rng.random() < 0.5 else files | {name + ending: content}
        if rng.random() < 0.02:
            files[rng.choice(list(files))] = None
        return files, f"{size:,} pairs {'-'.join(codes)}, {', '.join(noise) or 'clean'}, {list(files)}"


def _hurry(timer: float) -> None:
    """Make the minutes of a run short, and end the process as a kill does after so many seconds, if any."""
    from nmt.autotrain import choice, prepared

    request = prepared.Request

    def short(texts: list[Path], minutes: float | None = None, *others: object) -> prepared.Request:
        return request(texts, minutes and minutes * SECONDS_OF_MINUTE / 60, *others)

    prepared.Request = short  # type: ignore[assignment, misc]
    choice.TRIAL_SECONDS = 0.5  # type: ignore[misc]
    if timer and "--resume" not in sys.argv and sys.argv[1] == "train":
        signal.signal(signal.SIGALRM, lambda *_: os._exit(1))
        signal.setitimer(signal.ITIMER_REAL, timer)


def _problems(
    folder: Path, codes: list[int], arguments: list[str], others: list[list[str]], is_killed: bool
) -> list[str]:
    """What is wrong with a run and with what it left."""
    first, following = codes[0], {command[1]: code for command, code in zip(others, codes[1:], strict=True)}
    if first == 1 and not is_killed:
        return ["exit code 1"]
    text = (folder / "stderr").read_text("utf-8", "replace")
    words = [*(word.removeprefix("./") for word in arguments), "--"]
    if first == 2 and not any(word in text.replace("\n", "") for word in words if len(word) > 1):
        return ["the message names no file and no option"]
    if first == 2 and following.get("good.en"):
        return ["the next try is refused"]
    if first or "--dry-run" in arguments:
        return ["a resumed run doesn't translate"] if following.get("--resume") == 0 and codes[-1] else []
    problems = [f"{name} is refused after a run" for name in ("run", "run/recipe.yaml") if following.get(name)]
    if not problems:
        num_lines = [len((folder / name).read_bytes().split(b"\n")) for name in ("few.en", "translated")]
        problems += ["lines of the translation"] if num_lines[0] != num_lines[1] else []
        problems += _leaked(folder / "run" / "text", text)
        if "run/recipe.yaml" in following:
            one, other = (comparable(folder / run / "model.safetensors") for run in ("run", "again"))
            problems += ["the recipe gives other weights"] if one != other else []
    return problems


def _leaked(folder: Path, messages: str) -> list[str]:
    """Held-out sentences that are trained on."""
    if "held out" not in messages:
        return []
    languages = sorted(path.suffix for path in folder.glob("train.*"))
    if len(languages) != 2:
        return [f"text in {languages}"]
    given = {"valid" if path.name.startswith("dev") else path.name.partition(".")[0]
             for path in (folder.parents[1] / "folder").iterdir()}  # fmt: skip
    if "text that the model has seen" in messages:  # training text is validated on
        given.add("valid")
    problems = list[str]()
    for language in languages:
        sides = {split: set(map(_normalised, (folder / f"{split}{language}").read_bytes().decode().split("\n")))
                 for split in ("train", "valid", "test")}  # fmt: skip
        common = {split: (sides["train"] & sides[split]) - {""} for split in ("valid", "test") if split not in given}
        problems += [f"{split}{language} has text for training" for split, texts in common.items() if texts]
    return problems


def _normalised(text: str) -> str:
    """Returns the letters of a text, with the marks that belong to one; the text itself if it has none."""
    letters, is_inside = "", False
    for letter in text.casefold():
        is_inside = letter.isalpha() or (is_inside and unicodedata.category(letter)[0] == "M")
        letters += letter * is_inside
    return letters or text.strip()
