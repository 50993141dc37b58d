"""The public API for programs and notebooks: training runs and scores."""
