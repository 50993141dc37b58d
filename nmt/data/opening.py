"""The text that a recipe names: files of a folder, corpora, data sets, and the table of text sources."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nmt.core.compression import SUFFIXES
from nmt.core.errors import UserError
from nmt.data import sources
from nmt.data.dialogue import LineReader
from nmt.data.sources import VALIDATION_NAMES, ParallelText, aliases
from nmt.recipe.registry import Table
from nmt.recipe.schema import CorpusOptions, DataOptions, FilePair


def open_text(options: DataOptions, split: str | FilePair) -> ParallelText:
    """Opens the text of a split.

    ``data.root`` (or the current folder, without a hub name) is searched for ``SPLIT.LANGUAGE`` files, plain or
    compressed, and then for ``SPLIT.tsv``. Raises UserError if there is no such text; the message names the files that
    were tried.
    """
    return _as_read(_open(options, split), options)


def open_corpus(options: DataOptions, corpus: CorpusOptions) -> ParallelText:
    """Opens one of ``data.corpora``, with its tag. Raises UserError if there is no such text."""
    languages = corpus.languages or (options.source, options.target)
    if corpus.text is not None:
        text = _chosen(corpus.text, "train", languages, f"data.corpora: text of {corpus.name}")
    elif corpus.hub is not None:
        text = _of_hub(corpus, "train", languages, f"data.corpora: hub of {corpus.name}")
    elif file := corpus.tsv or corpus.jsonl:
        kind = sources.TsvText if corpus.tsv else sources.JsonlText
        text = kind(kind.Options(path=in_root(options, file)), "train", languages)
    else:
        text = _open(options, FilePair.model_validate({"source": corpus.source, "target": corpus.target}))
    return _as_read(text, options, corpus.tag)


def given_text(options: DataOptions, pairs: Sequence[tuple[str, str]], name: str) -> ParallelText:
    """Returns pairs in memory as a text. ``name``: in messages."""
    return _as_read(sources.GivenText(pairs, name), options)


def _as_read(text: ParallelText, options: DataOptions, tag: str | None = None) -> ParallelText:
    """Returns the text with its tag, and read as dialogues where the options say so."""
    if options.history_turns is not None and isinstance(text, sources.TsvText):
        raise UserError(
            f"{text.name} has tabs between columns, not between turns (data.history_turns is {options.history_turns}).",
            f"Write two files, such as train.{options.source} and train.{options.target}.",
        )
    if options.history_turns is None and tag is None:
        return text
    return sources.ReadText(text, LineReader(options.history_turns), tag)


def _open(options: DataOptions, split: str | FilePair) -> ParallelText:
    languages = options.source, options.target
    if isinstance(split, FilePair):
        files = {side: in_root(options, getattr(split, side)) for side in ("source", "target")}
        return sources.FileText.open(split.model_copy(update=files), "", languages)
    if options.text is not None:
        return _chosen(options.text, split, languages, "data.text")
    if options.task is not None:
        return _chosen({"type": "task", "task": options.task}, split, languages, "data.task")
    if options.root is None and options.hub is not None:
        return _of_hub(options, split, languages, "data.hub")
    root = options.root or Path()
    if not root.is_dir():
        raise UserError(f"data.root: there is no folder {root}.", "Give --set data.root=FOLDER.")
    for name in aliases(split):
        source, target = (_existing(root / f"{name}.{side}") for side in (options.source, options.target))
        if source and target:
            return sources.FileText(source, target)
        if tsv := _existing(root / f"{name}.tsv"):
            return sources.TsvText(sources.TsvText.Options(path=tsv), split, languages)
    wanted = " and ".join(str(root / f"{split}.{side}") for side in (options.source, options.target))
    names = sorted(path.name for path in root.iterdir() if path.is_file())[:12]
    key = "valid" if split in VALIDATION_NAMES else "train"
    raise UserError(
        f"There is no {wanted} (nor with {', '.join(SUFFIXES)}, nor {split}.tsv).",
        f"{root} holds {', '.join(names) or 'no files'}. Set data.root, data.source (now {options.source}) and "
        f"data.target (now {options.target}) to fit, or name files: --set 'data.{key}={{source: FILE, target: FILE}}'. "
        "With data.valid=null training pairs are held out.",
    )


def in_root(options: DataOptions, path: Path) -> Path:
    """Returns where a file is that a recipe names: in ``data.root``, if it isn't in the current folder."""
    inside = (options.root or Path()) / path
    return inside if inside.exists() and not path.exists() else path


def _chosen(choice: dict[str, Any], split: str, languages: tuple[str, str], where: str) -> ParallelText:
    """Opens a text source that is named by its type."""
    source, options = TEXT_SOURCES.choose(choice, where)
    return source.open(options, split, languages)


def _of_hub(options: DataOptions | CorpusOptions, split: str, languages: tuple[str, str], where: str) -> ParallelText:
    return _chosen({"type": "hub", "name": options.hub, "config": options.hub_config}, split, languages, where)


TEXT_SOURCES: Table[ParallelText] = Table(
    "text source",
    ParallelText,
    {
        "files": sources.FileText,
        "tsv": sources.TsvText,
        "jsonl": sources.JsonlText,
    },
)


def _existing(path: Path) -> Path | None:
    names = (path.name + suffix for suffix in ("", *SUFFIXES))
    return next((file for file in map(path.with_name, names) if file.is_file()), None)
