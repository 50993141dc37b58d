"""Measure time and memory of the document formats against size, and report what grows faster than n log n.

    python tools/checks/fuzz_documents.py --cases 1000

A case repeats or nests some fragments of a format, with random text between. It is translated in a process of its own
at several sizes by a translator that turns sentences round. A case is a problem if doubling the size much more than
doubles the processor time, if it takes more than 10 s or 500 MiB, or if it ends in anything but a document or an error
for the user.
Cases depend on the seed alone; ``--only N`` repeats one. POSIX only.
"""

import argparse
import io
import multiprocessing
import random
import resource
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import NamedTuple

from hostile_bombs import DRAWING, SHEET

from nmt.core.errors import UserError
from nmt.extensions.documents.formats import FORMATS, translate_document
from nmt.translation.results import Translation

SIZES = (10_000, 20_000, 40_000, 80_000)
"""Bytes."""
MAX_SECONDS, MAX_MEBIBYTES, MAX_EXPONENT = 10.0, 500, 1.5
MEASURABLE = 0.5
"""Seconds below which the growth isn't judged."""

TEXT = (
    "Hund", "a", " ", "  ", "\n", "\n\n", "\t", "\r\n", ". ", "! ", "1", "12:3", "5 km", "%d", "%1$s", "{x}", "{{y}}",
    "@a", "#b", "a@b.c", "www.a.b", "http://a.b/c", "$5", "日本。", "\u0301", "😀", "\u200d", "\u2028", "-", "—", "…",
    "'", '"', "\0", "0" * 20, "é", "z.B. ", "A.", "|",
)  # fmt: skip
TAGS = (
    "<b>",
    "</b>",
    "<i>",
    "</i>",
    "<a href=x>",
    "</a>",
    "<br>",
    "<img>",
    "<",
    ">",
    "&amp;",
    "&",
    "<!--",
    "-->",
    "</x>",
)
BLOCKS = (
    "<p>",
    "</p>",
    "<div>",
    "</div>",
    "<table>",
    "<tr>",
    "<td>",
    "<ul>",
    "<li>",
    "<pre>",
    "<code>",
    "</code>",
    "<svg>",
)
XLIFF = (
    '<g id="1">', "</g>", '<x id="2"/>', '<bx id="1"/>', '<ex id="1"/>', '<bpt id="3">[</bpt>', '<ept id="3">]</ept>',
    "</source></trans-unit><trans-unit><source>", "<mrk>", "</mrk>", '<sc id="1"/>', '<ec startRef="1"/>', "&amp;",
)  # fmt: skip
WORD = (
    "<w:r><w:t>Hund</w:t></w:r>", "<w:r><w:rPr><w:b/></w:rPr><w:t>a</w:t></w:r>", "<w:r><w:tab/></w:r>", "</w:p><w:p>",
    '<w:bookmarkStart w:id="1"/>', '<w:r><w:fldChar w:fldCharType="begin"/></w:r>', "<w:hyperlink>", "</w:hyperlink>",
    '<w:r><w:fldChar w:fldCharType="end"/></w:r>', "<w:tbl><w:tr><w:tc><w:p>", "</w:p></w:tc></w:tr></w:tbl>",
    "<w:sdt/>",
)  # fmt: skip
OFFICE = (
    "<t:span>", "</t:span>", "</t:p><t:p>", "<t:tab/>", "<t:line-break/>", "<t:a>", "</t:a>", "<t:note><t:p>",
    "</t:p></t:note>",
    "<t:page-number>1</t:page-number>", "<t:list><t:p>", "</t:p></t:list>", "&amp;",
)  # fmt: skip
MARKS = (
    "*", "**", "_", "`", "``", "[", "]", "](", ")", "[a]: b\n", "![", "<b>", "</b>", "~~", "\\", "> ", "- ", "1. ",
    "# ", "    ",
    "| ", "|-|\n", "```\n", "---\n", "<!--", "&lt;", "<http://a>", '"', "[a][b]", "\n\n", "[^", "\n", "*a **", "://",
)  # fmt: skip
CUES = (
    "1\n",
    "00:00:01,000 --> 00:00:02,000\n",
    "\n",
    "{\\an8}",
    "- ",
    "\n- ",
    "<i>",
    "</i>",
    "-->",
    "0" * 30,
    ":",
    ",",
    "99\n",
)
ENTRIES = (
    '\nmsgid "',
    '"\n',
    '\nmsgstr "',
    '\nmsgid_plural "',
    '"\nmsgstr[0] "',
    "# ",
    "\\n",
    '\n"',
    "\\",
    '"',
    "%",
    "\nmsgctxt ",
)
SLIDE = (
    "<a:r><a:t>Hund</a:t></a:r>", '<a:r><a:rPr b="1"/><a:t>a</a:t></a:r>', "<a:br/>", "</a:p><a:p>", "<a:fld/>",
    "<a:tc><a:p>", "</a:p></a:tc>", "<a:endParaRPr/>", "<svg>", "</svg>",
)  # fmt: skip
PAGE = ("<b>", "</b>", "<p>", "</p>", "<a id='x'>", "</a>", "<br/>", "<svg/>", "<pre>", "</pre>", "&amp;", "&nbsp;")
CELLS = ("<t>Hund</t>", "<r><t>a</t></r>", "</si><si>", "<rPh><t>a</t></rPh>", "<r>", "</r>", '<f>[a]"Hund"</f>')
DATA = (
    '"',
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\n",
    "\n ",
    "- ",
    "a: ",
    "&a ",
    "*a",
    "|\n ",
    "'",
    "#",
    ";",
    "? ",
    "!a ",
)


class Format(NamedTuple):
    """Fragments of a format, and what makes a file of them."""

    fragments: Sequence[str]
    wrap: Callable[[str], bytes]


def zipped(name: str, begin: str, end: str) -> Callable[[str], bytes]:
    def wrap(text: str) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, begin + text.replace("\0", "") + end)
        return file.getvalue()

    return wrap


def between(begin: str, end: str = "") -> Callable[[str], bytes]:
    return lambda text: (begin + text + end).encode()


W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
T = 'xmlns:t="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'
KINDS = {
    ".txt": Format((), between("")),
    ".html": Format((*TAGS, *BLOCKS), between("")),
    ".md": Format(MARKS, between("")),
    ".srt": Format(CUES, between("1\n00:00:01,000 --> 00:00:02,000\n")),
    ".po": Format((*ENTRIES, *TAGS), between('msgid ""\nmsgstr "Language: de"\n\nmsgid "')),
    ".xliff": Format(XLIFF, between('<xliff version="1.2"><trans-unit><source>', "</source></trans-unit></xliff>")),
    ".docx": Format(WORD, zipped("word/document.xml", f"<w:document {W}><w:p>", "</w:p></w:document>")),
    ".odt": Format(OFFICE, zipped("content.xml", f"<t:x {T}><t:p>", "</t:p></t:x>")),
    ".ods": Format(OFFICE, zipped("content.xml", f"<t:x {T}><t:p>", "</t:p></t:x>")),
    ".pptx": Format(SLIDE, zipped("ppt/a.xml", f"<a:x {DRAWING}><a:p>", "</a:p></a:x>")),
    ".xlsx": Format(CELLS, zipped("xl/sharedStrings.xml", f"<sst {SHEET}><si>", "</si></sst>")),
    ".epub": Format(PAGE, zipped("1.xhtml", '<html xmlns="http://www.w3.org/1999/xhtml">', "</html>")),
    ".xml": Format(PAGE, between("<x>", "</x>")),
    **{suffix: Format(DATA, between("")) for suffix in (".csv", ".tsv", ".json", ".yaml")},
    ".yml": Format(DATA, between("a: |\n  ")),
}


def make_case(seed: int, number: int) -> tuple[str, str, Callable[[int], bytes]]:
    """Returns the ending of the name, a description, and a function that makes the file of about a size."""
    rng = random.Random(seed * 1_000_003 + number)
    suffix = rng.choice(list(KINDS))
    kind = KINDS[suffix]
    pool = [*kind.fragments * 3, *TEXT] if kind.fragments else list(TEXT)
    first, middle, last = ("".join(rng.choices(pool, k=rng.randrange(1, 4))) for _ in range(3))
    how = rng.choice(("repeat", "repeat", "nest", "prefix", "distinct"))
    if (
        suffix in (".xliff", ".docx", ".odt", ".ods", ".pptx", ".xlsx", ".epub", ".xml") and rng.random() < 0.8
    ):  # well-formed, so that it is translated
        tags = [
            f for f in kind.fragments if f.startswith("<") and f"</{f[1:].split()[0].rstrip('>/')}>" in kind.fragments
        ]
        opened = rng.choice(tags)
        last = f"</{opened[1:].split()[0].rstrip('>/')}>"
        whole = [f for f in kind.fragments if f not in tags and not (f.startswith("</") and f.endswith(last))]
        first, middle = (
            opened,
            rng.choice([f for f in whole if f.count("<") == 2 * f.count("</") + f.count("/>")] or ["a"]),
        )
        if how != "nest":
            first, middle, last = first + rng.choice((middle, "Hund 5 km")) + last, rng.choice(("", " a. ")), ""

    def make(size: int) -> bytes:
        unit = len((first + middle + last).encode("utf-8", "replace")) or 1
        count = max(size // unit, 1)
        text = {
            "repeat": lambda: (first + middle + last) * count,
            "nest": lambda: first * count + middle + last * count,
            "prefix": lambda: first + middle * count + last,
            "distinct": lambda: "".join(f"{first}{n} km {middle}{n}{last}" for n in range(count)),
        }[how]()
        return kind.wrap(text)

    return suffix, f"{how} {first!r} {middle!r} {last!r}", make


def translate(sentences: Sequence[str]) -> list[Translation]:
    found = []
    for sentence in sentences:
        words = sentence.split()
        links = tuple((len(words) - 1 - t, t) for t in range(len(words)))
        found.append(Translation(sentence, " ".join(reversed(words)), 0.0, [], alignment=links))
    return found


def measure(name: str, data: bytes) -> tuple[str, float, int]:
    """Returns how the translation of a file ended, its seconds and its MiB."""

    def work(pipe: Connection) -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (int(MAX_SECONDS) + 1, int(MAX_SECONDS) + 2))
        start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            translate_document(name, data, translate, "de", "en")
            ended = "translated"
        except (UserError, MemoryError, RecursionError) as error:
            ended = "refused" if isinstance(error, UserError) else type(error).__name__
        except Exception as error:
            ended = f"failed with {type(error).__name__}: {error}"
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        pipe.send((ended, time.process_time() - start, memory >> 10))

    context = multiprocessing.get_context("fork")
    own, other = context.Pipe()
    process = context.Process(target=work, args=(other,))
    process.start()
    other.close()
    try:
        found: tuple[str, float, int] = own.recv()
    except EOFError:
        found = "ended", MAX_SECONDS, 0
    process.join()
    return found


def problem(suffix: str, make: Callable[[int], bytes]) -> tuple[str, str]:
    """Returns how the largest size ended, and what is wrong, if anything is."""
    seconds, ended = list[float](), ""
    for size in SIZES:
        ended, taken, memory = measure(f"a{suffix}", make(size))
        seconds.append(taken)
        times = ", ".join(f"{each:.2f}" for each in seconds)
        if ended.startswith(("failed", "ended")) or memory > MAX_MEBIBYTES or taken > MAX_SECONDS:
            return ended, f"{ended} at {size:,} bytes, {times} s, {memory} MiB"
        if taken > MEASURABLE and len(seconds) > 1 and taken > seconds[-2] * 2**MAX_EXPONENT:
            ended, again, _ = measure(f"a{suffix}", make(size))  # another process may have disturbed it
            if min(taken, again) > seconds[-2] * 2**MAX_EXPONENT:
                return ended, f"{times} s at {size:,} bytes"
    return ended, ""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int)
    arguments = parser.parse_args()
    for suffix in FORMATS:  # what is imported now is not measured
        measure(f"a{suffix}", b"")
    translate_document("a.md", b"a *b*", translate)
    counts, num_problems = Counter[str](), 0
    for number in range(arguments.cases) if arguments.only is None else [arguments.only]:
        suffix, description, make = make_case(arguments.seed, number)
        ended, found = problem(suffix, make)
        counts[f"{suffix} {ended}"] += 1
        if found:
            num_problems += 1
            print(f"case {number}, {suffix}: {description[:200]}\n    {found}", flush=True)
    print(*(f"{count:6} {key}" for key, count in sorted(counts.items())), sep="\n")
    print(f"{sum(counts.values())} cases, {num_problems} problems")
    sys.exit(bool(num_problems))


if __name__ == "__main__":
    main()
