"""What server.engine.graphs opens: every shape of agent, and plain words for the broken ones."""
