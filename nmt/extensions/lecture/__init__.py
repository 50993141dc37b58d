"""Pages of the lectures: how a sentence is translated, alignments, and a timeline of training."""
