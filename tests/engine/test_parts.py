"""What server.engine.parts makes of a graph's stream: tokens, steps, kept messages, storable text."""
