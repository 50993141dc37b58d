"""Word alignments: from attention weights to links, their error rate, and their pictures."""
