"""Foundations that are independent of translation: errors, the console, files, text and devices."""
