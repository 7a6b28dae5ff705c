"""A signup, from paid to served: the ordered steps, the plan, and the worker."""
