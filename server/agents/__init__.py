"""Which agents there are: known from their manifests, never from their code."""
