"""Vocabularies learned from text."""

from collections.abc import Iterable, Sequence

from nmt.core.errors import UserError
from nmt.data.dialogue import TAB
from nmt.data.vocabulary.base import SEPARATOR, SPECIALS, TERM
from nmt.data.vocabulary.files import VOCABULARIES, Vocabularies
from nmt.data.vocabulary.labels import LabelVocabulary
from nmt.data.vocabulary.sentencepiece import MAX_LINES as MAX_LINES
from nmt.recipe.schema import VocabularyOptions


def train_vocabularies(
    options: VocabularyOptions,
    pairs: Iterable[tuple[str, str]],
    separator: bool = False,
    tags: Sequence[str] = (),
    labels: bool = False,
    terms: bool = False,
) -> Vocabularies:
    """Makes the vocabularies of a recipe from its training text.

    Args:
        options: kind and size.
        pairs: source and target sentences; iterated once or, with separate vocabularies, twice.
        separator: whether the source is dialogues, so that its vocabulary gets the separator of turns.
        tags: tags of the source, such as ``<2de>``; ``pairs`` are without them.
        labels: whether each target is one label.
        terms: whether the source vocabulary gets the symbols around given translations.

    Raises:
        UserError: there is no text, or too little for the size asked for; a tag has the name of another special piece.
    """
    if taken := {*SPECIALS, SEPARATOR, *TERM}.intersection(tags):
        raise UserError(f"The tag {min(taken)} is a special piece of every vocabulary.", "Choose another tag.")
    kind = VOCABULARIES.find(options.type, "vocabulary.type")
    specials = [SEPARATOR] * separator + list(tags) + list(TERM) * terms
    if options.joint and not labels:
        sides = (side for pair in pairs for side in pair)
        joint = kind.learn(_turns(sides, separator), options, specials, "the training text")
        return Vocabularies(joint, joint)
    sources = (source for source, _ in pairs)
    source = kind.learn(_turns(sources, separator), options, specials, "the source side")
    targets = (target for _, target in pairs)
    if labels:
        return Vocabularies(source, LabelVocabulary.of(targets, options.size))
    return Vocabularies(source, kind.learn(targets, options, (), "the target side"))


def _turns(lines: Iterable[str], is_dialogue: bool) -> Iterable[str]:
    return (turn for line in lines for turn in line.split(TAB)) if is_dialogue else lines
