"""Pretrained models of other toolkits, and how their files correspond to a model directory."""
