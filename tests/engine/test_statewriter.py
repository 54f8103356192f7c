"""The grouped writer of state: one transaction for many, and a bad row fails alone."""
