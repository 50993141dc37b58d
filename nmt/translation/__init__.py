"""Text in, text out: translators, their requests and their results."""
