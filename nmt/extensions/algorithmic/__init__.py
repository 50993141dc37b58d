"""Networks for algorithmic tasks: the neural Turing machine, adaptive computation time, and the tasks themselves."""
