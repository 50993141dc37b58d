"""Patterns of text that translations keep as it is."""

URL = r"""(?:(?:https?|ftp)://|www\.)[^\s<>"']*[^\s<>"'.,;:!?()\[\]{}«»“”]"""
"""Pattern of web addresses, without the punctuation at their end."""

PLACEHOLDER = r"""\{\{[^{}\n]{1,60}\}\} | \$?\{[^{}\n]{0,60}\} | %\([^()\n]{1,60}\)[a-z] | (?<!%)%%(?!%)
    | %(?:\d{1,9}\$)?[-+\#0]{0,5}\d{0,9}(?:\.\d{1,9})?l{0,2}[sdifuxXeEgGcr@](?!\w)"""
"""Pattern (verbose) of placeholders: ``{name}``, ``%(name)s``, ``%1$s``."""
