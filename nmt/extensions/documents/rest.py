"""Messages of gettext catalogues as content: inline markup of reStructuredText, placeholders, and tags.

Roles, literals, substitutions, references and placeholders are kept. The text of emphasis, of links and of references
with a title is translated, and their markup and targets are kept. See the section "Inline markup" of the specification
of reStructuredText (https://docutils.sourceforge.io/docs/ref/rst/restructuredtext.html).
"""

import re

from nmt.extensions.documents.tags import Content, ContentBuilder, Node, free_text, text_of
from nmt.translation.patterns import PLACEHOLDER

_TEXT = r"[^`\s](?:[^`\n]{0,500}[^`\s])?"
_INLINE = re.compile(
    rf"""``(?!\s)(?:[^`\n]|(?<!`)`(?!`)){{1,500}}(?<!\s)``(?!`)(?:\\[ ]?\w+)?
    | (?:(?<![\w:])(?P<role>:\w[\w.+:-]{{0,60}}:)|(?<![\w`:\\]))
        `(?P<text>{_TEXT})`(?P<end>__?(?!\w)|:[a-z][\w:]{{0,60}}:|(?:\\[ ]\w+)?)
    | (?<![\w|])\|[^\s|`](?:[^|`\n]{{0,80}}[^\s|`])?\|(?:__?)?(?![\w|])
    | \[(?:\#?[\w.-]{{0,60}}|\*)\]_(?!\w)
    | (?<![\w`])[A-Za-z0-9](?:[A-Za-z0-9]|[-.:+](?=[A-Za-z0-9])){{0,60}}__?(?!\w)
    | (?P<url>(?:https?|ftp)://[^\s<>"'`|*{{}}\\]*[^\s<>"'`|*{{}}\\.,;:!?()\[\]])
    | (?<![\w*\\])(?P<stars>\*\*?)(?![\s*])(?P<stressed>[^*`\n]{{1,300}})(?<![\s\\])(?P=stars)(?![\w*])
    | (?P<escape>\\[ ]) | \\[^\s\w]\w* | (?P<tag></?[A-Za-z][^<>`]*>|\{{\\[^{{}}]*\}})
    | (?P<placeholder>{PLACEHOLDER})""",
    re.VERBOSE,
)
_WITH_TARGET = re.compile(r"([^<>]*[^<>\s])(\s*<[^<>]+>)")
_CODE = re.compile(r"[_()=\[\]{}@/]|\w\.\w|^\W")
_WITH_PROSE = frozenset({":ref:", ":doc:", ":term:", ":any:", ":numref:", ":download:", ":pep:", ":rfc:", ""})
"""Roles whose title is prose. That of others, such as ``func``, may be a name, unless it has several words."""
_STRESSED = (
    " a all almost also always and any are before after both can cannot could do does done each either every except "
    "few first instead is last less many may more most must never new no none not old one only or other same should "
    "some still the this two very was what when which will without would you "
)
"""English words that are translated if they are emphasized alone; other single words are names of parameters."""

_PROGRAM = (">>> ", "$ ", "#!")
"""Beginning of messages that are no prose: sessions and scripts."""
_REST = re.compile(r"(?<!:):[A-Za-z][\w.+-]{0,60}(?::[\w.+-]{1,60})?:(?![\w:])|(?<!\w)__?(?!\w)")
"""Roles and ends of links without their text."""
_MARKS = re.compile(r"[`*|]|\\[ ]?|^\[|\]_$|__?$")
_URL = ("http://", "https://", "ftp://")
_IN_URL = re.compile(r"[/:\\-]|\.\w")
_AFTER = re.compile(r"""[\s'"([{<\-/:\\\u2018\u201c\u00ab\u00bf\u00a1\u3000-\u303f\uff00-\uff0f\uff1a\uff1b\uff1f]""")
_BEFORE = re.compile(r"""[\s'")\]}>\-/:.,;!?\\\u2019\u201d\u00bb\u2026\u3000-\u303f\uff00-\uff0f\uff1a\uff1b\uff1f]""")


def parse_message(text: str) -> Content:
    """Returns a message as content."""
    nesting, end = ContentBuilder(), 0
    if text.startswith(_PROGRAM):
        return [Node((text, ""), [text], is_kept=True)]
    for match in _INLINE.finditer(text):
        nesting.add(text[end : match.start()])
        _add(nesting, match)
        end = match.end()
    nesting.add(text[end:])
    return nesting.content()


def _add(nesting: ContentBuilder, match: re.Match[str]) -> None:
    whole, stars, stressed, role = match.group(), match["stars"], match["stressed"] or "", match["role"] or ""
    found = _WITH_TARGET.fullmatch(match["text"] or "")
    if match["tag"]:
        nesting.tag(whole)
    elif match["escape"]:
        nesting.place(whole)
    elif " " in stressed or (stressed and f" {stressed.lower()} " in _STRESSED):
        nesting.add(Node((stars, stars, whole), parse_message(stressed), is_unique=True))
    elif found and not _CODE.search(found[1]) and (role in _WITH_PROSE or " " in found[1]):
        nesting.add(Node((f"{role}`", f"{found[2]}`{match['end']}", whole), [found[1]], is_unique=True))
    else:
        nesting.place(whole, _shown(match))


def _shown(match: re.Match[str]) -> str:
    """Returns the visible text of markup, which replaces it in the sentence that is translated."""
    whole, text = match.group(), match["text"]
    if match["url"] or match["placeholder"]:
        return whole
    if text:
        shown = found[1] if (found := _WITH_TARGET.fullmatch(text)) else text
        return shown.rpartition(".")[2] if shown[0] == "~" else shown.lstrip("!")
    return _MARKS.sub("", whole)


def _cleaned(text: str, taken_out: dict[int, int | None]) -> str:
    """Returns text of the model without markup and placeholders, also those that appear when others are taken out."""

    def shown(match: re.Match[str]) -> str:
        return "" if match["placeholder"] or match["url"] or match["tag"] else _shown(match)

    bare = _REST.sub("", _INLINE.sub(shown, text)).translate(taken_out)
    return re.sub(r"(?<=\S)  +", " ", _INLINE.sub(shown, bare)) if bare != text else bare


def write_message(content: Content, source: Content) -> str:
    """Writes a translated message; inverse of :func:`parse_message`.

    Markup has white space or punctuation around it, without which it would be text. Markup and placeholders that the
    model has invented are taken out, so that the message has those of the source.
    """
    has_percent = any(isinstance(item, Node) and item.tag[0].startswith("%") for item in source)
    invented, text = set("`*|\\{}<>" + "%" * has_percent) - set(free_text(source)), text_of(source)
    written = _written(content, str.maketrans("", "", "".join(invented)))
    return text[: len(text) - len(text.lstrip())] + written.lstrip()


def _written(content: Content, taken_out: dict[int, int | None]) -> str:
    parts, before = [""], ""
    for item in content:
        markup = ""
        if isinstance(item, str):
            part = _cleaned(item, taken_out)
        elif item.is_kept:
            part = item.tag[0]
            markup = part if part[0] in "`:|*[" or part[-1] == "_" or part.startswith(_URL) else ""
        else:
            part = _written(item.content, taken_out)
            if len(item.tag) == 3:
                part = part.replace("<", "").replace(">", "")
                markup = part = item.tag[0] + part.strip() + item.tag[1] if part.strip() else item.tag[2]
            else:
                part = item.tag[0] + part + item.tag[1]
        if not part:
            continue
        is_joined = before and (not _BEFORE.match(part) or (before.startswith(_URL) and _IN_URL.match(part)))
        last = parts[-1][-1:]
        if last and (is_joined or (markup and (not _AFTER.match(last) or last == markup[0]))):
            parts.append(" ")
        parts.append(part)
        before = markup
    return "".join(parts)
