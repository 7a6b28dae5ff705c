"""txAWS 0.5.0, which is Python 2 source, made importable: translated at import."""
