"""The metrics COMET and CometKiwi, by the package unbabel-comet."""
