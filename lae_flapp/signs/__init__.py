"""Signs of life: health, metrics, and what is told to the operators when it is bad."""
