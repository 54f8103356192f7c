"""Two event loops share one HTTP client without a broken connection."""
