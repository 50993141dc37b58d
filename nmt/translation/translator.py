"""Text in, text out: a trained model directory as a translator."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast, overload

from nmt.alignment.aligner import DEFAULT, AttentionAligner, Learned
from nmt.alignment.extract import LinkOptions
from nmt.alignment.links import Alignments, WordAlignment
from nmt.core.device import Precision
from nmt.core.model_directory import ModelDirectory
from nmt.core.text import in_windows
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.words import split_pairs
from nmt.decoding.processors import LogitsProcessor
from nmt.decoding.search import ModelSearcher, Searcher, ShortlistSearch, changed
from nmt.models.contracts import Model
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe.registry import provided
from nmt.recipe.schema import DecodingOptions, Recipe
from nmt.tasks import task_of
from nmt.tasks.base import Task
from nmt.translation.options import DEFAULTS, TranslationOptions
from nmt.translation.request import Request
from nmt.translation.results import ScoredPair, Translation, Translations
from nmt.translation.scoring import scores
from nmt.translation.search import WINDOW, WindowTranslation

T = TypeVar("T")


class Translator:
    """A trained model with its vocabularies.

    Args:
        model: in eval mode, on its device.
        vocabularies: those it was trained with.
        recipe: the one it was trained with; its ``decoding`` has the defaults of :meth:`translate`.
        precision: of matrix products. With bf16 or fp16, a translation can depend slightly on its batch.
        directory: the model directory, where :meth:`learn_alignment` writes its results and :meth:`align` reads them.
        task: the task of the recipe.
        searcher: searches in place of the model, such as an ensemble; alignments and scores are those of the model.
    """

    def __init__(
        self,
        model: Seq2Seq,
        vocabularies: Vocabularies,
        recipe: Recipe,
        precision: Precision = "fp32",
        directory: Path | None = None,
        task: Task | None = None,
        searcher: Searcher | None = None,
    ) -> None:
        self.model, self.vocabularies, self.recipe, self.precision = model, vocabularies, recipe, precision
        self.directory = directory
        self.max_pieces = 2 * recipe.data.max_length
        """A longer source line is cut here: the model was not trained on anything like it."""
        self.task = task or task_of(recipe)
        self.has_own_searcher = searcher is None
        self.searcher: Searcher = searcher or self.search_with(model)
        self.has_warned_of_tags = False
        self._attached: dict[Callable[[Translator], Any], Any] = {}

    @cached_property
    def aligner(self) -> AttentionAligner:
        """Reads word alignments from the attention of the model.

        Raises:
            UserError: the model has no attention.
        """
        files = ModelDirectory(self.directory) if self.directory is not None else None
        return AttentionAligner(self.model, self.vocabularies, self.max_pieces, self.task, files)

    @property
    def has_attention(self) -> bool:
        """Whether the model can :meth:`align`."""
        return bool(self.model.decoder.heads)

    def attached(self, make: "Callable[[Translator], T]") -> T:
        """Returns what an extension keeps with this translator: the result of ``make``, which is called once."""
        if make not in self._attached:
            self._attached[make] = make(self)
        return cast("T", self._attached[make])

    def search_with(self, model: Model) -> Searcher:
        """Returns a searcher for this translator that PyTorch computes with a model or an ensemble."""
        return ModelSearcher(
            model, self.vocabularies, self.task.search, self.precision, lru_cache(self._make_shortlist), repeats=True
        )

    def replaced(self, **changes: Any) -> "Translator":
        """Returns a translator with other arguments of the constructor, such as ``recipe`` or ``searcher``."""
        own = {name: getattr(self, name) for name in ("model", "vocabularies", "recipe", "precision", "directory")}
        return Translator(**{**own, "task": self.task, **changes})

    def options(self, **decoding: Any) -> DecodingOptions:
        """Returns the recipe's decoding options with changes; None means no change.

        Raises:
            UserError: an unknown option or a value out of range.
        """
        return changed(self.recipe.decoding, decoding)

    def __call__(self, text: str, **options: Any) -> Translation:
        """Translates one sentence; the options are those of :meth:`translate`."""
        translation: Translation = self.translate(text, **options)
        return translation

    @overload
    def translate(self, lines: str | Request, n_best: int = 1, **options: Any) -> Translation: ...

    @overload
    def translate(self, lines: Iterable[str | Request], n_best: int = 1, **options: Any) -> Translations: ...

    def translate(
        self, lines: str | Request | Iterable[str | Request], n_best: int = 1, **options: Any
    ) -> Translation | Translations:
        """Translates a sentence, or many.

        Args:
            lines: a sentence, or one for each line; an empty one stays empty. For a model of dialogues, turns separated
                by tabs, of which the last is translated. A :class:`Request` also has constraints on its translation.
            n_best: how many candidates each translation has; at most the beam size.
            options: ``with_alignment`` and ``constraints`` (:class:`TranslationOptions`); ``check`` and
                ``with_confidence``, as far as the extension for quality is there; ``beam_size``, ``length_penalty`` and
                all other keys of ``DecodingOptions``, whose defaults are those of the recipe.

        Returns:
            The translation of a sentence, or a list with a translation for each line, in order.

        Raises:
            UserError: an option is wrong, or doesn't fit the model.

        Example::

            mt = nmt.load("runs/de-en")
            mt.translate("Ein Mann schläft.").text
            mt.translate(["Ein Mann schläft.", "Ein Hund läuft."], beam_size=8)
        """
        if isinstance(lines, str | Request):
            (translation,) = self.stream([lines], n_best=n_best, **options)
            return translation
        return Translations(self.stream(lines, n_best=n_best, **options))

    def stream(
        self,
        lines: Iterable[str | Request],
        options: TranslationOptions = DEFAULTS,
        on_progress: Callable[[int], None] = lambda lines: None,
        *,
        first_line: int = 1,
        processors: Sequence[LogitsProcessor] = (),
        **changes: Any,
    ) -> Iterator[Translation]:
        """Translates any number of lines in constant memory.

        Args:
            options: what all lines have in common.
            on_progress: called with the number of lines translated since the call before.
            first_line: the number of the first line, in warnings.
            processors: logits processors, beside those that ``logits_processors`` names.
            changes: changes of the options, as :meth:`TranslationOptions.changed` takes them.
        """
        self.task.require("translation")
        options = options.changed(**changes) if changes else options
        decoding = self.options(**options.decoding)
        translate, number = WindowTranslation(self, options, decoding, processors), first_line
        for window in in_windows(lines, WINDOW * decoding.batch_size):
            requests = [Request(line) if isinstance(line, str) else line for line in window]
            yield from translate(requests, range(number, number + len(requests)), on_progress)
            number += len(requests)

    def _make_shortlist(self, size: int) -> ShortlistSearch:
        search: ShortlistSearch = provided("shortlist", "decoding.shortlist")(
            self.aligner.lexicon, self.vocabularies, size
        )
        return search

    def encode_source(self, line: str) -> list[int]:
        """The ids of a source line as the model reads it, without EOS; a dialogue keeps its separators.

        There may be more than ``max_pieces`` of them: the callers decide whether to cut or to refuse such a line.
        """
        return self.task.encode_source(self.vocabularies.source, line, self.max_pieces)

    def encode_target(self, line: str) -> list[int]:
        """The ids of a translation, without SOS and EOS; of a dialogue, those of the current turn."""
        return self.task.encode_target(self.vocabularies.target, line)

    def align(self, pairs: Iterable[tuple[str, str]], tokenized: bool = False, **options: Any) -> Alignments:
        """Aligns the words of given sentence pairs; see :meth:`stream_alignments` for the arguments.

        Returns:
            A list with the alignment of each pair, which a notebook draws.

        Example::

            mt.align([("Ein Mann schläft.", "A man sleeps.")])
        """
        return Alignments(self.stream_alignments(pairs, tokenized, **options))

    def stream_alignments(
        self,
        pairs: Iterable[tuple[str, str]],
        tokenized: bool = False,
        *,
        split_punctuation: bool = False,
        reverse: "Translator | None" = None,
        links: LinkOptions = DEFAULT,
        **options: bool,
    ) -> Iterator[WordAlignment]:
        """Aligns the words of any number of sentence pairs by forced decoding, in constant memory.

        Args:
            pairs: source and target text; of a model of dialogues, the source with its turns, and of the target the
                current turn counts.
            tokenized: the text is tokenised, with punctuation separated: words are its tokens. Otherwise words are
                separated by white space.
            split_punctuation: in text that is not tokenised, punctuation marks are words, too.
            reverse: a model of the other direction: links are chosen by the mean of both.
            links: how links are chosen by the attention.
            options: ``all_heads``, ``scores`` and ``lexicon_only``, as :class:`AttentionAligner` takes them.

        Raises:
            UserError: a model has no attention, or, with ``lexicon_only``, no lexicon.
        """
        if reverse is not None:
            self.task.require("reverse alignment")
        in_words = split_pairs(pairs, tokenized, split_punctuation, self.task.reader)
        return self.aligner(in_words, links, reverse=None if reverse is None else reverse.aligner, **options)

    def learn_alignment(self, pairs: Iterable[tuple[str, str]], tokenized: bool = False) -> Learned:
        """Learn from parallel text, best the training text, how to align; :meth:`align` is better from then on.

        Raises:
            UserError: the model has no attention, there is no pair, or the model directory can't be written.
        """
        return self.aligner.learn(split_pairs(pairs, tokenized, True, self.task.reader))

    def score(self, pairs: Iterable[tuple[str, str]], **decoding: Any) -> Iterator[ScoredPair]:
        """Scores given translations by the model, in order and in constant memory.

        Args:
            decoding: as in :meth:`translate`; ``length_penalty``, ``alpha`` and ``batch_size`` have an effect. There is
                no coverage penalty here.
        """
        return scores(self, pairs, self.options(**decoding))
