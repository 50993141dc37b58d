"""Text in, text out: a trained model directory as a translator."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, overload

from nmt.alignment.aligner import DEFAULT, AttentionAligner
from nmt.alignment.extract import LinkOptions
from nmt.alignment.links import WordAlignment
from nmt.core.errors import UserError, shortened
from nmt.core.text import in_windows
from nmt.data.words import split_pairs
from nmt.decoding.processors import LogitsProcessor
from nmt.recipe.registry import hooks, provided
from nmt.translation.loaded import WINDOW, LoadedModel
from nmt.translation.options import DEFAULTS, TranslationOptions
from nmt.translation.request import Request
from nmt.translation.results import ScoredPair, Translation, Translations
from nmt.translation.scoring import scores
from nmt.translation.search import WindowTranslation


class Translator(LoadedModel):
    """A trained model that translates, aligns and scores; see :class:`LoadedModel` for its arguments."""

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
        if not any(hasattr(lines, name) for name in ("__iter__", "__getitem__")):
            raise UserError(f"{shortened(repr(lines))} is no text.", "Give a text, or an iterable of texts.")
        options = options.changed(**changes) if changes else options
        decoding = self.options(**options.decoding)
        number, translate = first_line, WindowTranslation(self, options, decoding, processors)
        for divided in hooks("lines_divided") if decoding.split_sentences and options.n_best == 1 else ():
            translate = divided(self, translate)
        for window in in_windows([lines] if isinstance(lines, str) else lines, WINDOW * decoding.batch_size):
            requests = [Request(line) if isinstance(line, str) else line for line in window]
            for line, request in enumerate(requests, start=number):
                if not isinstance(request, Request):
                    raise UserError(
                        f"Line {line:,} is {shortened(repr(request))}, not text.", "Give texts or requests."
                    )
            yield from translate(requests, range(number, number + len(requests)), on_progress)
            number += len(requests)

    def align(self, pairs: Iterable[tuple[str, str]], tokenized: bool = False, **options: Any) -> list[WordAlignment]:
        """Aligns the words of given sentence pairs; see :meth:`stream_alignments` for the arguments.

        Returns:
            The alignment of each pair, in order; :func:`nmt.plot_alignment` draws one.

        Example::

            mt.align([("Ein Mann schläft.", "A man sleeps.")])
        """
        return list(self.stream_alignments(pairs, tokenized, **options))

    def stream_alignments(
        self,
        pairs: Iterable[tuple[str, str]],
        tokenized: bool = False,
        *,
        split_punctuation: bool = False,
        reverse: "Translator | None" = None,
        links: LinkOptions = DEFAULT,
        lexicon_only: bool = False,
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
            lexicon_only: align by the lexicon and the order of words, which takes a small part of the time: ``weights``
                are the probabilities of the links, and there are no scores.
            options: ``all_heads`` and ``scores``, as :class:`AttentionAligner` takes them.

        Raises:
            UserError: a model has no attention, or, with ``lexicon_only``, no lexicon; or ``reverse`` is none.
        """
        if reverse is not None:
            self.task.require("reverse alignment")
            own, its = self.recipe.data, reverse.recipe.data
            if (its.source, its.target) != (own.target, own.source) and not reverse.vocabularies.source.tags:
                raise UserError(f"{reverse.directory} is no model from {own.target} to {own.source}.", "Name one.")
        in_words = split_pairs(pairs, tokenized, split_punctuation, self.task.reader)
        aligner_of = provided("lexicon aligner", "Alignment by the lexicon only") if lexicon_only else lambda own: own
        forward: AttentionAligner = aligner_of(self.aligner)
        backward = None if reverse is None else aligner_of(reverse.aligner)
        return forward(in_words, links, reverse=backward, **options)

    def learn_alignment(self, pairs: Iterable[tuple[str, str]], tokenized: bool = False) -> Any:
        """Learn from parallel text, best the training text, how to align; :meth:`align` is better from then on.

        Returns:
            A :class:`nmt.extensions.lexicon.learning.Learned`.

        Raises:
            UserError: the model has no attention, there is no pair, or the model directory can't be written.
        """
        learn = provided("alignment learner", "learn_alignment")
        return learn(self.aligner, split_pairs(pairs, tokenized, True, self.task.reader))

    def score(self, pairs: Iterable[tuple[str, str]], **decoding: Any) -> Iterator[ScoredPair]:
        """Scores given translations by the model, in order and in constant memory.

        Args:
            decoding: as in :meth:`translate`; ``length_penalty``, ``alpha`` and ``batch_size`` have an effect. There is
                no coverage penalty here.
        """
        return scores(self, pairs, self.options(**decoding))
