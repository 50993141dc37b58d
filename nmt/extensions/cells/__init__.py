"""Further recurrent cells: delay taps, leaky units, the clockwork RNN, echo states, peepholes and depth gates."""
