"""TensorBoard as a sink of the events of a training run, for ``training.tensorboard``."""
