"""Vocabularies learned from text."""

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from nmt.core.errors import UserError
from nmt.data.vocabulary.base import SEPARATOR, SPECIALS, TERM, Vocabulary
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.sentencepiece import SentencePieceVocabulary
from nmt.data.vocabulary.words import WordVocabulary
from nmt.recipe.schema import VocabularyOptions

MAX_LINES = 2_000_000
"""Lines of text, at most, that sentencepiece makes a vocabulary from."""


def train_vocabularies(
    options: VocabularyOptions,
    pairs: Iterable[tuple[str, str]],
    separator: bool = False,
    tags: Sequence[str] = (),
    labels: bool = False,
    terms: bool = False,
) -> Vocabularies:
    """Make the vocabularies of a recipe from its training text.

    Args:
        options: kind and size.
        pairs: source and target sentences; iterated once or, with separate vocabularies, twice.
        separator: the source is dialogues: its vocabulary gets the piece that separates their turns.
        tags: of the source, such as ``<2de>``; ``pairs`` are without them.
        labels: each target is one label.
        terms: the source vocabulary gets the symbols around given translations.

    Raises:
        UserError: there is no text, or too little for the size asked for; a tag has the name of another special piece.
    """
    if taken := {*SPECIALS, SEPARATOR, *TERM}.intersection(tags):
        raise UserError(f"The tag {min(taken)} is a special piece of every vocabulary.", "Choose another tag.")
    specials = [SEPARATOR] * separator + list(tags) + list(TERM) * terms
    if options.joint and not labels:
        joint = _train(options, (side for pair in pairs for side in pair), "the training text", specials, separator)
        return Vocabularies(joint, joint)
    source = _train(options, (source for source, _ in pairs), "the source side", specials, separator)
    targets = (target for _, target in pairs)
    if labels:
        from nmt.data.vocabulary.labels import LabelVocabulary

        return Vocabularies(source, LabelVocabulary.of(targets, options.size))
    return Vocabularies(source, _train(options, targets, "the target side"))


def _train(
    options: VocabularyOptions, lines: Iterable[str], where: str, specials: Sequence[str] = (), has_turns: bool = False
) -> Vocabulary:
    if has_turns:
        lines = (turn for line in lines for turn in line.split("\t"))
    if options.type == "word":
        return _train_words(options, lines, where, specials)
    import sentencepiece

    model = io.BytesIO()
    problem: UserError | None = None

    def sentences() -> Iterator[str]:
        """The lines; an error of theirs is kept, because sentencepiece raises its own in its place."""
        nonlocal problem
        try:
            yield from (line for line in lines if line.strip())
        except UserError as error:
            problem = error
            raise

    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=sentences(),
            model_writer=model,
            model_type={"character": "char"}.get(options.type, options.type),
            vocab_size=options.size,
            # Characters are as many as there are; the size is only the most that are kept.
            hard_vocab_limit=options.type != "character",
            byte_fallback=options.byte_fallback,
            character_coverage=options.character_coverage,
            normalization_rule_name=options.normalization,
            pad_id=0,
            unk_id=1,
            bos_id=2,
            eos_id=3,
            control_symbols=[symbol for symbol in specials if symbol not in TERM],
            user_defined_symbols=[symbol for symbol in specials if symbol in TERM],
            input_sentence_size=MAX_LINES,
            shuffle_input_sentence=False,
            num_threads=1,  # the same pieces on every machine
            minloglevel=2,
        )
    except (RuntimeError, SystemError) as error:
        raise problem or _explained(str(error), options.size, where) from None
    return SentencePieceVocabulary(model.getvalue())


def _explained(problem: str, size: int, where: str) -> UserError:
    """sentencepiece's message in terms of the recipe."""
    if limit := re.search(r"value <= (\d+)", problem):
        message = f"{where} gives at most {limit[1]} pieces, but vocabulary.size is {size}."
        return UserError(message, f"Give --set vocabulary.size={limit[1]} or less.")
    if smallest := re.search(r"smaller than required_chars\. (\d+) vs (\d+)", problem):
        message = f"{where} has {smallest[2]} different characters and specials, but vocabulary.size is {size}."
        return UserError(message, "Raise vocabulary.size above that, or lower vocabulary.character_coverage.")
    if "sentences_.empty()" in problem or "Input corpus is empty" in problem:
        return _empty(where)
    message = f"sentencepiece can't make a vocabulary from {where}: {problem}"
    return UserError(message, "Check vocabulary.* of the recipe.")


def _empty(where: str) -> UserError:
    return UserError(f"{where} is empty: no vocabulary can be made.", "Check the training files.")


def _train_words(
    options: VocabularyOptions, lines: Iterable[str], where: str, specials: Sequence[str]
) -> WordVocabulary:
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(word for word, _, _ in WordVocabulary.split(line))
    if not counts:
        raise _empty(where)
    # Ties are broken by the alphabet, so that the order doesn't hang on the order of lines.
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kept = [word for word, count in ranked if count >= options.min_count and word not in SPECIALS]
    return WordVocabulary([*specials, *kept[: options.size - len(SPECIALS) - len(specials)]])
