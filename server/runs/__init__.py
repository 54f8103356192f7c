"""Runs: the one way to run an agent. A run is a row; a worker holds it by a lease; what it does is events."""
