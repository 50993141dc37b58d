"""The model card of a model directory."""
