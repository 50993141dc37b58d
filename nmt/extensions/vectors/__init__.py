"""Word vectors: pictures of embeddings, and word2vec."""
