"""The JSON schema of recipes, with which editors complete and check their keys."""

REQUIRES = ()
