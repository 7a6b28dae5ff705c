"""What a deployment needs of its AWS account once: looked at, planned, made."""
