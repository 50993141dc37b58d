"""Documents and markup: text is taken out, translated, and put back with its formatting."""
