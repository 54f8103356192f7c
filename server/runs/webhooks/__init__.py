"""Webhooks: calls that tell somebody's server of a run's end, signed, and tried again until they are heard."""
