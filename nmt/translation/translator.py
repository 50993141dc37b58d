"""Text in, text out: a trained model directory as a translator."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, Literal, Unpack, overload

from nmt.alignment.aligner import DEFAULT, AttentionAligner, Learned
from nmt.alignment.extract import LinkOptions
from nmt.alignment.links import Alignments, WordAlignment
from nmt.alignment.shortlist import LexicalShortlist
from nmt.core.console import warn
from nmt.core.device import Precision, autocast
from nmt.core.errors import Problems, UserError
from nmt.core.model_directory import ModelDirectory
from nmt.core.text import in_windows
from nmt.data.vocabulary.base import TAG
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.words import split_pairs
from nmt.decoding.forced import force_all
from nmt.decoding.hypotheses import BeamObserver, Hypothesis
from nmt.decoding.processors import LogitsProcessor
from nmt.decoding.ranking import NO_MBR, length_normalised
from nmt.decoding.search import ModelSearcher, Query, Searcher, check_components
from nmt.models.contracts import Model
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe.options import validate
from nmt.recipe.schema import DecodingChanges, DecodingOptions, Recipe
from nmt.tasks import task_of
from nmt.tasks.base import Task
from nmt.translation.confidence import Calibration
from nmt.translation.examination import Examiner, for_repair
from nmt.translation.glossary import Glossary
from nmt.translation.letter_case import CaseRestorer
from nmt.translation.request import UNCONSTRAINED, OutputConstraints, Request, StreamOptions
from nmt.translation.results import Candidate, ScoredPair, Translation, Translations, mbr_rerank, spell_unknown
from nmt.translation.reverse import ReverseModel
from nmt.translation.terms import place_terms
from nmt.translation.trace import SearchTrace

NO_CANDIDATE = Candidate("", 0.0, [])
"""Result for an empty line."""
WINDOW = 16
"""Batches that are read before they are sorted by length and translated; a run that is stopped loses at most these."""


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
        self._has_own_searcher = searcher is None
        self.searcher: Searcher = searcher or self.search_with(model)
        self._has_told = False

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

    @property
    def is_calibrated(self) -> bool:
        """Whether ``nmt calibrate`` was run for the model."""
        return self.directory is not None and ModelDirectory(self.directory).calibration.is_file()

    @cached_property
    def calibration(self) -> Calibration:
        """Turns the features of a translation into its confidence.

        Raises:
            UserError: ``nmt calibrate`` was not run for the model.
        """
        return Calibration.load(ModelDirectory(self.directory or ".").calibration)

    @cached_property
    def reverse(self) -> ReverseModel | None:
        """The model of the other direction that the calibration needs; None if it needs none.

        Raises:
            UserError: as for :attr:`calibration`; or that model can't be read.
        """
        if self.calibration.reverse is None:
            return None
        try:
            return ReverseModel.load(self, self.calibration.reverse, self.calibration.reverse_tag)
        except UserError as error:
            raise UserError(
                f"The confidence of {self.directory} needs the model of the other direction. {error.message}",
                "Copy that model to the place it had, or run `nmt calibrate` again.",
            ) from None

    @cached_property
    def letter_case(self) -> CaseRestorer:
        """Translates lines in capitals and titles as ordinary text."""
        return CaseRestorer(self.vocabularies.source, self.recipe.data.target)

    def search_with(self, model: Model) -> Searcher:
        """Returns a searcher for this translator that PyTorch computes with a model or an ensemble."""
        return ModelSearcher(
            model, self.vocabularies, self.task.search, self.precision, lru_cache(self._make_shortlist), repeats=True
        )

    def replaced(self, **changes: Any) -> "Translator":
        """Returns a translator with other arguments of the constructor, such as ``recipe`` or ``searcher``."""
        own = {name: getattr(self, name) for name in ("model", "vocabularies", "recipe", "precision", "directory")}
        return Translator(**{**own, "task": self.task, **changes})

    def options(self, **decoding: Unpack[DecodingChanges]) -> DecodingOptions:
        """The recipe's decoding options with changes; None means no change.

        Raises:
            UserError: an unknown option or a value out of range.
        """
        values = self.recipe.decoding.model_dump() | {k: v for k, v in decoding.items() if v is not None}
        options = validate(DecodingOptions, values, "decoding")
        problems = Problems()
        check_components(options, problems)
        problems.raise_if_any("decoding")
        return options

    def __call__(self, text: str, **options: Any) -> Translation:
        """Translates one sentence; the options are those of :meth:`translate`."""
        (translation,) = self.stream([text], **options)
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
            options: ``check``, ``with_confidence``, ``constraints`` and ``processors`` as in :meth:`stream`;
                ``beam_size``, ``length_penalty`` and all other keys of ``DecodingOptions``, whose defaults are those of
                the recipe.

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
            (translation,) = self.stream([lines], n_best, **options)
            return translation
        return Translations(self.stream(lines, n_best, **options))

    def stream(
        self,
        lines: Iterable[str | Request],
        n_best: int = 1,
        on_progress: Callable[[int], None] = lambda lines: None,
        *,
        with_alignment: bool | Literal["punctuation"] = False,
        first_line: int = 1,
        constraints: OutputConstraints = UNCONSTRAINED,
        processors: Sequence[LogitsProcessor] = (),
        check: bool | Literal["repair"] = False,
        with_confidence: bool = False,
        **decoding: Unpack[DecodingChanges],
    ) -> Iterator[Translation]:
        """Translates any number of lines in constant memory; see :meth:`translate` for the other arguments.

        Args:
            on_progress: called with the number of lines translated since the call before.
            with_alignment: align each line with its translation too, where the model has attention. Words are those
                that white space separates or, with ``"punctuation"``, words and punctuation marks.
            first_line: the number of the first line, in warnings.
            constraints: phrases that no translation may contain, and how unknown words are replaced.
            processors: logits processors, beside those that ``logits_processors`` names.
            check: give the ``problems`` of each translation and, with ``"repair"``, search again where there are some,
                and keep the candidate with the fewest.
            with_confidence: give the probability that each translation is acceptable; needs ``nmt calibrate``.
            decoding: keys of ``DecodingOptions``, which take the place of those of the recipe.
        """
        self.task.require("translation")
        options = self.options(**decoding)
        if n_best > options.beam_size:
            raise UserError(
                f"{n_best} candidates can't come from {options.beam_size} hypotheses or samples.",
                f"Give --beam-size {n_best} or more.",
            )
        if constraints.replace_unknown and not self.has_attention:
            raise UserError("Unknown words can't be replaced by a model without attention.", "Leave that out.")
        processors = [*constraints.processors(self.vocabularies), *processors]
        examine = self.examiner(StreamOptions(n_best, with_alignment, constraints, check, with_confidence))
        search = partial(self.candidates, processors=processors, constraints=constraints)
        is_choosy = check == "repair" or constraints.forbid or options.mbr != NO_MBR
        size = options.beam_size if is_choosy else n_best
        for window in in_windows(lines, WINDOW * options.batch_size):
            given = [Request(line) if isinstance(line, str) else line for line in window]
            requests = [*map(self.letter_case.ordinary, given)] if options.restore_case else given
            numbers = range(first_line, first_line + len(requests))
            trace = self._trace(requests, options, processors) if examine is not None else None
            found = search(requests, numbers, options, size=size, on_progress=on_progress, observer=trace)
            translations = []
            for number, request, candidates in zip(numbers, requests, found, strict=True):
                best = candidates[0]
                request.check(number, best.text)
                for term in Glossary(request.terms).missing(request.source, best.text) if request.terms else ():
                    warn(f"line {number}: {term[1]!r} has no place in the translation.")
                translations.append(
                    Translation(request.source, best.text, best.score, best.tokens, candidates[:n_best])
                )
            if examine is not None:
                known = [trace.found.get(number - 1) for number in numbers] if trace is not None else ()
                translations = list(examine(translations, known))
                if check == "repair":
                    wide = partial(search, options=for_repair(options))
                    translations = examine.repaired(requests, numbers, translations, found, wide)
            first_line += len(window)
            yield from map(self.letter_case.restored, given, translations)

    def _trace(
        self, requests: Sequence[Request], options: DecodingOptions, processors: Sequence[LogitsProcessor]
    ) -> SearchTrace | None:
        """Returns an observer of a search whose figures are those of forced decoding; None for another search."""
        differences = (
            not (self._has_own_searcher and self.has_attention),
            options.beam_groups > 1 or options.prune is not None,
            options.shortlist,
            options.logits_processors,
            any(each.changes_scores for each in processors),
            any(request.prefix or request.must_contain for request in requests),
        )
        return None if any(differences) else SearchTrace(self.vocabularies.target.eos, self.aligner.heads.heads)

    def candidates(
        self, requests: Sequence[Request], numbers: Sequence[int], options: DecodingOptions, **arguments: Any
    ) -> list[list[Candidate]]:
        """Returns the candidates of each line, best first; of an empty line an empty one. See :meth:`stream`. With
        ``size`` only the first hypotheses of each line become candidates, which saves time."""
        found = self._search(requests, numbers, options, **arguments)
        again = {name: arguments[name] for name in ("processors", "constraints")}
        return place_terms(self, requests, numbers, found, options, partial(self._search, **again))

    def _search(
        self,
        requests: Sequence[Request],
        numbers: Sequence[int],
        options: DecodingOptions,
        processors: Sequence[LogitsProcessor],
        constraints: OutputConstraints,
        on_progress: Callable[[int], None] = lambda lines: None,
        observer: BeamObserver | None = None,
        size: int | None = None,
    ) -> list[list[Candidate]]:
        """Returns what :meth:`candidates` does, without regard to terms."""
        encoded = [self.encode_source(request.source) for request in requests]
        for number, ids in zip(numbers, encoded, strict=True):
            if len(ids) > self.max_pieces:
                warn(f"line {number} has {len(ids):,} pieces: only the first {self.max_pieces} are translated.")
        self._check_tags(requests, numbers)
        filled = [index for index, ids in enumerate(encoded) if ids]
        on_progress(len(requests) - len(filled))
        query = Query(
            [encoded[index][: self.max_pieces] for index in filled],
            options,
            on_progress,
            processors,
            [requests[index].constraints(self.vocabularies.target) for index in filled],
            [numbers[index] - 1 for index in filled],
            observer,
        )
        of_filled, found = iter(self.searcher(query)), []
        for number, request, ids in zip(numbers, requests, encoded, strict=True):
            hypotheses = next(of_filled) if ids else []
            candidates = [self._candidate(hypothesis, request.source, constraints) for hypothesis in hypotheses[:size]]
            candidates = constraints.allowed(number, mbr_rerank(candidates, options.mbr, request.source))
            found.append(candidates or [NO_CANDIDATE])
        return found

    def _check_tags(self, requests: Sequence[Request], numbers: Sequence[int]) -> None:
        """Tell, once, of a line that seems to begin with a tag which a model with tags hasn't."""
        known = self.vocabularies.source.tags
        for number, request in zip(numbers, requests, strict=True):
            if known and not self._has_told and (tag := TAG.match(request.source)) and tag[1] not in known:
                self._has_told = True
                warn(f"line {number} begins with {tag[1]}, which isn't a tag of the model: {', '.join(sorted(known))}.")

    def _make_shortlist(self, size: int) -> LexicalShortlist:
        if self.aligner.lexicon is None:
            raise UserError(
                "A shortlist needs the lexicon of `nmt learn-alignment`, which the model directory doesn't have.",
                "Run `nmt learn-alignment MODEL_DIR SOURCE TARGET` with the training text, or leave out --shortlist.",
            )
        return LexicalShortlist(self.aligner.lexicon, self.vocabularies, size)

    def examiner(self, options: StreamOptions) -> Examiner | None:
        """Returns what examines translations; None if nothing is requested, or the model can't do it."""
        with_alignment = options.with_alignment and self.has_attention
        if not (options.check or options.with_confidence or with_alignment):
            return None
        aligner = self.aligner if self.has_attention or options.with_confidence else None
        calibration, reverse = (self.calibration, self.reverse) if options.with_confidence else (None, None)
        return Examiner(aligner, options, self.vocabularies.source, calibration, reverse)

    def encode_source(self, line: str) -> list[int]:
        """The ids of a source line as the model reads it, without EOS; a dialogue keeps its separators.

        There may be more than ``max_pieces`` of them: the callers decide whether to cut or to refuse such a line.
        """
        return self.task.encode_source(self.vocabularies.source, line, self.max_pieces)

    def encode_target(self, line: str) -> list[int]:
        """The ids of a translation, without SOS and EOS; of a dialogue, those of the current turn."""
        return self.task.encode_target(self.vocabularies.target, line)

    def _candidate(self, hypothesis: Hypothesis, line: str, constraints: OutputConstraints) -> Candidate:
        vocabulary, ids = self.vocabularies.target, hypothesis.ids
        text = self.task.decode(vocabulary, ids)
        if constraints.replace_unknown and vocabulary.unk in ids:
            attended = self.aligner.attended_words(line, ids)
            words = {at: constraints.translated(attended[at]) for at, i in enumerate(ids) if i == vocabulary.unk}
            text = spell_unknown(ids, vocabulary, words)
        # A translation is one line, whatever tokens the model chose.
        tokens = [vocabulary.token(i) for i in ids]
        return Candidate(" ".join(text.split()), hypothesis.score, tokens, hypothesis.log_probability)

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
        all_heads: bool = False,
        scores: bool = True,
        lexicon_only: bool = False,
        links: LinkOptions = DEFAULT,
    ) -> Iterator[WordAlignment]:
        """Aligns the words of any number of sentence pairs by forced decoding, in constant memory.

        Args:
            pairs: source and target text; of a model of dialogues, the source with its turns, and of the target the
                current turn counts.
            tokenized: the text is tokenised, with punctuation separated: words are its tokens. Otherwise words are
                separated by white space.
            split_punctuation: in text that is not tokenised, punctuation marks are words, too.
            reverse: a model of the other direction: links are chosen by the mean of both.
            all_heads: give the weights of every head, too.
            scores: give scores and probabilities; links alone take two thirds of the time.
            lexicon_only: align by the lexicon of :meth:`learn_alignment` and the order of words, which takes a small
                part of the time: ``weights`` are the probabilities of the links, and there are no scores.
            links: how links are chosen by the attention.

        Raises:
            UserError: a model has no attention, or, with ``lexicon_only``, no lexicon.
        """
        if reverse is not None:
            self.task.require("reverse alignment")
        in_words = split_pairs(pairs, tokenized, split_punctuation, self.task.reader)
        backward = reverse.aligner if reverse is not None else None
        return self.aligner(
            in_words, links, reverse=backward, all_heads=all_heads, scores=scores, lexicon_only=lexicon_only
        )

    def learn_alignment(self, pairs: Iterable[tuple[str, str]], tokenized: bool = False) -> Learned:
        """Learn from parallel text, best the training text, how to align; :meth:`align` is better from then on.

        Raises:
            UserError: the model has no attention, there is no pair, or the model directory can't be written.
        """
        return self.aligner.learn(split_pairs(pairs, tokenized, True, self.task.reader))

    def score(self, pairs: Iterable[tuple[str, str]], **decoding: Unpack[DecodingChanges]) -> Iterator[ScoredPair]:
        """Scores given translations by the model, in order and in constant memory.

        Args:
            decoding: as in :meth:`translate`; ``length_penalty``, ``alpha`` and ``batch_size`` have an effect. There is
                no coverage penalty here.
        """
        options, first_line = self.options(**decoding), 1
        for window in in_windows(pairs, WINDOW * options.batch_size):
            encoded = [self._encode_pair(number, pair) for number, pair in enumerate(window, start=first_line)]
            first_line += len(window)
            whole = [ids for ids in encoded if ids is not None]
            with autocast(self.model.device, self.precision):
                scored = iter(force_all(self.model, whole, self.vocabularies, options.batch_size))
            for (source, target), ids in zip(window, encoded, strict=True):
                if ids is None:
                    yield ScoredPair(source, target, [], [], None, None)
                    continue
                vocabulary, of_tokens_T = self.vocabularies.target, next(scored).log_probability_T
                tokens = [vocabulary.token(i) for i in ids[1] + [vocabulary.eos] * (not vocabulary.is_closed)]
                total = of_tokens_T.sum()
                score = float(length_normalised(options, total, len(tokens)))
                yield ScoredPair(source, target, tokens, of_tokens_T.tolist(), float(total), score)

    def _encode_pair(self, number: int, pair: tuple[str, str]) -> tuple[list[int], list[int]] | None:
        """Ids of a pair; None for one that is too long, because half of it would have another score."""
        source, target = self.encode_source(pair[0]), self.encode_target(pair[1])
        longest = max(len(source), len(target))
        if longest > self.max_pieces:
            warn(f"line {number} has {longest:,} pieces, more than {self.max_pieces}: it gets no score.")
            return None
        return source, target
