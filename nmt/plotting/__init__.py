"""Pictures of arrays and words: alignments, training curves, scores by length, gradient norms, NTM memory."""
