"""Foundations that know nothing of translation: errors, the console, files, text, devices and templates."""
