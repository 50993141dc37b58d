"""Word vectors: first embeddings of a model, word2vec, and maps of words."""
