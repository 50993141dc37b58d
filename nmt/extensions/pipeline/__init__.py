"""The call ``pipeline("translation")`` of transformers 4, which version 5 has no longer."""
