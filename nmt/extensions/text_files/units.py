"""Translation units of translators' files as training text: TMX 1.4, XLIFF 1.2 and 2."""

from collections.abc import Iterator
from pathlib import Path

from nmt.core.errors import UserError
from nmt.extensions.documents.elements import Element
from nmt.extensions.memory.files import parse_tmx, read_limited, text_of, variants_of


def translation_units(path: Path) -> Iterator[dict[str, str]]:
    """Yields the text of each unit by its language, the source first.

    The first language of TMX is ``srclang`` of its header, where a unit has it. The languages of all units are those of
    the first one: ``en-GB`` counts as ``en`` there.

    Raises:
        UserError: the file is too large or damaged, or is neither TMX nor XLIFF.
    """
    data = read_limited(path)
    try:
        root = parse_tmx(data)
    except UserError as error:
        raise UserError(f"{path}: {error.message}", error.remedy) from None
    if (units := {"tmx": _tmx_units, "xliff": _xliff_units}.get(_name(root))) is None:
        raise UserError(f"{path} is neither TMX nor XLIFF, but {_name(root)}.", "Write two line-aligned files.")
    yield from units(root)


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _language(code: str) -> str:
    return code.partition("-")[0].partition("_")[0].lower()


def _tmx_units(root: Element) -> Iterator[dict[str, str]]:
    header = root.find("header")
    first = _language(header.get("srclang") or "") if header is not None else ""
    for unit in root.iter("tu"):
        texts: dict[str, str] = {}
        for code, text in variants_of(unit):
            texts.setdefault(_language(code), text)
        yield dict(sorted(texts.items(), key=lambda text: text[0] != first))


def _xliff_units(root: Element) -> Iterator[dict[str, str]]:
    for file in root.iter("{*}file"):
        source = _language(file.get("source-language") or root.get("srcLang") or "source")
        target = _language(file.get("target-language") or root.get("trgLang") or "target")
        for unit in file.iter("{*}trans-unit", "{*}segment"):
            texts = {_name(side): text_of(side) for side in unit.iterchildren("{*}source", "{*}target")}
            if len(texts) == 2:
                yield {source: texts["source"], target: texts["target"]}
