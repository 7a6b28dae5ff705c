"""Instances as directories and process groups, each with its metadata service."""
