"""Lines in capitals and titles, which are translated as ordinary text."""
