"""New pieces for trained vocabularies (`new_pieces` of a corpus)."""
