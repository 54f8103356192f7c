"""One run from its input to its end, with a real graph and a real database."""
