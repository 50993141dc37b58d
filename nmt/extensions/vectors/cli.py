"""``nmt learn-vectors`` and ``nmt inspect words``."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from nmt.cli.common import AsJson, command, names_in, say_wrote, show_json
from nmt.cli.schema import options_of
from nmt.core.console import print_table, progress_bar, say
from nmt.core.errors import UserError
from nmt.extensions.vectors.word2vec import Word2VecOptions


@command("nmt learn-vectors mono.de train.de -o vectors.de", "nmt learn-vectors mono.en -o vectors.en --model cbow")
@options_of(Word2VecOptions, from_recipe=False)
def learn_vectors(
    texts: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Text of one language, a sentence a line.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Text file of vectors to write.")],
    **options: Any,
) -> None:
    """Learn word vectors from text by word2vec.

    Recipes with word vocabularies start their embeddings from them (model.vectors). `nmt inspect words` shows them.
    """
    from nmt.extensions.vectors.word2vec import learn_vectors as run

    with progress_bar("learning vectors", None):
        num_words = run(texts, output, Word2VecOptions(**options))
    say(f"{num_words:,} words of {options['size']} numbers")
    say_wrote(output)


@command(
    "nmt inspect words runs/words Hund Wasser",
    "nmt inspect words vectors.de --analogy Mann,Frau,Junge",
    "nmt inspect words runs/words --side target -o words.svg --limit 150",
    draws=True,
)
def words(
    path: Annotated[Path, typer.Argument(metavar="MODEL_DIR", help="Model directory, or a text file of word vectors.")],
    words: Annotated[list[str] | None, typer.Argument(metavar="WORD", help="Words to show.")] = None,
    analogy: Annotated[
        list[str] | None, typer.Option(metavar="A,B,C", help="Find words that are to C as B is to A; may be repeated.")
    ] = None,
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Words that are shown for each.")] = 5,
    side: Annotated[
        Literal["source", "target"], typer.Option(help="The embeddings of a model that are read.")
    ] = "source",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Draw a map of the words and their neighbours."),
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=3, help="With no WORD, the map has the first N of the vocabulary.")
    ] = 100,
    as_json: AsJson = False,
) -> None:
    """Show words near each other, analogies, and a map.

    Words are compared by the cosine of their vectors, which are the embeddings of a model or those of a file in the
    text format of word2vec or GloVe. The map (.png, .svg or .pdf) shows the first two principal components.
    """
    from nmt.extensions.vectors.embeddings import read_all_vectors
    from nmt.extensions.vectors.words import WordVectors, draw_words
    from nmt.plotting.style import suffix_of, write_figure
    from nmt.translation.load import load

    suffix_of(output)  # before the work
    vectors = (
        WordVectors.of_model(load(path, "cpu"), side) if path.is_dir() else WordVectors.of(*read_all_vectors(path))
    )
    found = {word: vectors.neighbours(word, count) for word in words or ()}
    for text in analogy or ():
        try:
            a, b, c = names_in(text)
        except ValueError:
            raise UserError(f"--analogy {text!r} is not three words.", "Write --analogy Mann,Frau,Junge.") from None
        found[f"{b} - {a} + {c}"] = vectors.analogy(a, b, c, count)
    if as_json:
        show_json({"num_words": len(vectors.words), "words": found})
    elif found:
        rows = [(name, ", ".join(f"{word} {cosine:.2f}" for word, cosine in near)) for name, near in found.items()]
        print_table("", ("", "nearest words, and their cosine"), rows)
    if output is not None:
        near = [name for word in words or () for name in (word, *(other for other, _ in found[word]))]
        write_figure(draw_words(vectors, near or vectors.words[:limit]), output)
        say_wrote(output)
    elif not found:
        raise UserError("Nothing to show.", "Name words, or give --analogy A,B,C or -o FILE.")
