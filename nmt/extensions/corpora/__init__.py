"""Training on several corpora at a time (`data.corpora`), by weight and in stages."""
