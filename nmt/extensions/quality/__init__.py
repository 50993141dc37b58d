"""The check, the repair and the confidence of translations."""
