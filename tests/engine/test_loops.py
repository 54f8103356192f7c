"""The loops that agents run on: moving a blocked one off, cancelling, the threads."""
