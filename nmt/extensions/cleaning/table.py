"""The table of filters of parallel text, which ``nmt check-data`` and ``nmt clean`` share."""

from nmt.extensions.cleaning import corpus, text, translation
from nmt.extensions.cleaning.base import Filter
from nmt.recipe.registry import Table

FILTERS: Table[Filter] = Table(
    "filter",
    Filter,
    {
        "line-counts": corpus.LineCounts,
        "misaligned": corpus.Misaligned,
        "invalid-utf8": text.InvalidUtf8,
        "mojibake": text.Mojibake,
        "replacement-character": text.ReplacementCharacter,
        "control-characters": text.ControlCharacters,
        "invisible-characters": text.InvisibleCharacters,
        "markup": text.Markup,
        "normal-forms": corpus.NormalForms,
        "test-pairs-in-train": corpus.TestPairs,
        "short-test-pairs-in-train": corpus.ShortTestPairs,
        "test-sources-in-train": corpus.TestSources,
        "test-targets-in-train": corpus.TestTargets,
        "empty": corpus.Empty,
        "copies": text.Copies,
        "repeats": text.Repeats,
        "word-length": text.WordLength,
        "few-letters": corpus.FewLetters,
        "foreign-script": text.ForeignScript,
        "wrong-language": corpus.WrongLanguage,
        "language": text.Language,
        "unlike-the-rest": corpus.UnlikeTheRest,
        "length-ratio": corpus.LengthRatio,
        "numbers": text.Numbers,
        "addresses": text.Addresses,
        "alignment": translation.Alignment,
        "cross-entropy": translation.CrossEntropy,
        "duplicate-pairs": corpus.DuplicatePairs,
        "near-duplicates": corpus.NearDuplicates,
        "different-targets": corpus.DifferentTargets,
        "too-long": corpus.TooLong,
        "unknown": corpus.Unknown,
        "byte-fallback": corpus.ByteFallback,
    },
)
"""In the order of their findings."""
