"""The store that a run's agent sees: the documents of its own workspace, read only."""
