"""The keys of recipes: as a list, and as the JSON schema with which editors complete and check them."""
