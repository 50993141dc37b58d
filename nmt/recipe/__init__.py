"""Recipes: their keys, files, and the registry of components that they name."""
