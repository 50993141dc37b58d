"""The mean of the weights of checkpoints, or of a fine-tuned model and its origin."""
