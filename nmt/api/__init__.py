"""What a notebook types: training runs, translators and scores that show themselves."""
