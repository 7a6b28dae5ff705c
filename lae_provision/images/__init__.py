"""Container images: made of Debian and PyPI, signed, pushed, verified, pruned."""
