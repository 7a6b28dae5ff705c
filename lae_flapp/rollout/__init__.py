"""A new program brought to every host: canaries first, step by step, or back again."""
