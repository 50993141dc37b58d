"""``nmt translate --mark``: doubtful sentences of a document are highlighted, with the reason as a comment."""

REQUIRES = ("documents", "quality")
