"""The documents of a workspace: taken in, cut into passages, searched, cited."""
