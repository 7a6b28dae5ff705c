"""What an operator, or a customer who leaves, does with a bucket without a node."""
