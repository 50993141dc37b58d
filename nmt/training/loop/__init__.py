"""Parts of the training loop: events and their sinks, meters, interrupts and recovery from exhausted memory."""
