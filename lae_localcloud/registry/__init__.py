"""ECR's data plane: Debian's docker-registry with ECR's tokens, rights and tags."""
