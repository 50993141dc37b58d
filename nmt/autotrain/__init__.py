"""Training from text files and a number of minutes alone: everything else is chosen from the text and the machine."""
