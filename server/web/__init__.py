"""The page, the pages of the API, and what an operator asks."""
