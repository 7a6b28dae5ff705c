"""The resource types of templates: each is made, changed, looked at and removed."""
