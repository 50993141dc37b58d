"""The page that shows how models translate sentences.

The page carries its data as JSON: the models, and a list of sentences, each with the views of all models, which
:meth:`nmt.extensions.lecture.sentence.SentenceViewer.view` describes. Log-probabilities are natural; numbers are
rounded.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat
from pathlib import Path

from nmt.alignment.links import read_pharaoh
from nmt.core.errors import UserError
from nmt.core.text import read_lines
from nmt.evaluation.scores import TestSet, read_aligned
from nmt.extensions.lecture.sentence import Gold, Json, SentenceViewer
from nmt.plotting.templates import embedded, render, rounded
from nmt.recipe.registry import provided


def render_page(
    title: str,
    viewers: Sequence[SentenceViewer],
    lines: Iterable[tuple[int, str]],
    golds: Iterable[Gold | None] = (),
    lengths: Json | None = None,
) -> str:
    """Returns the page.

    Args:
        viewers: a model each, the first of which is shown first.
        lines: source sentences, each with its number for messages.
        golds: reference and word links of each sentence, where there are any.
        lengths: scores by length, from :func:`scores_by_length`.

    Raises:
        UserError: there is no line, or one that a page can't show.
    """
    sentences = [
        {"text": line, "views": [viewer.view(number, line, gold) for viewer in viewers]}
        for (number, line), gold in zip(lines, chain(golds, repeat(None)), strict=False)
    ]
    if not sentences:
        raise UserError("There is no sentence to show.", "Give TEXT, --input FILE, or text on standard input.")
    data = {"models": [viewer.describe() for viewer in viewers], "sentences": sentences, "lengths": lengths}
    return render("sentence.html.j2", __file__, title=title, data=embedded(rounded(data)), is_live=False)


def render_live_page() -> str:
    """Returns the page of a server, which gets its sentences from ``/v1/inspect``."""
    data: Json = {"models": [], "sentences": []}
    return render("sentence.html.j2", __file__, title="How a sentence is translated", data=embedded(data), is_live=True)


def scores_by_length(
    viewers: Sequence[SentenceViewer], source: Path, reference: Path, on_progress: Callable[[int], None]
) -> Json:
    """Returns the BLEU of each model by sentence length; ``rows`` are those of ``nmt inspect lengths``.

    The models translate ``source`` as ``nmt translate`` with the viewer's beam does; ``on_progress`` is called with the
    number of lines translated since the call before.

    Raises:
        UserError: a file can't be read, is empty, or has another number of lines.
    """
    by_length = provided("scores by length", "--test")
    sources, references = read_aligned([source, reference])
    systems = {}
    for viewer in viewers:
        found = viewer.translator.stream(sources, on_progress=on_progress, beam_size=viewer.options.beam_size)
        systems[viewer.name] = [translation.text for translation in found]
    scores: Json = by_length("bleu", TestSet(systems, [references], sources))
    return {"sentences": len(sources), **scores}


def read_gold(reference: Path, links: Path, places: Sequence[int]) -> list[Gold]:
    """Returns the references and the sure links of the sentences at some lines, counted from 0.

    Raises:
        UserError: a file can't be read, or has fewer lines than there are sentences.
    """
    texts, found = list(read_lines(reference)), read_pharaoh(links)
    for path, count in ((reference, len(texts)), (links, len(found))):
        if count <= places[-1]:
            raise UserError(f"{path} has {count:,} lines, not {places[-1] + 1:,}.", "Give a line for each sentence.")
    return [(texts[at], found[at][0]) for at in places]
