"""What an operator or a leaving customer does with a bucket, without a node."""
