"""Word vectors: pictures of embeddings, and word2vec."""

REQUIRES: tuple[str, ...] = ()
"""Names of the other extensions that this one imports."""
