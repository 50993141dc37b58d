"""Training techniques: those of the lectures, for small data, and for alignment."""
