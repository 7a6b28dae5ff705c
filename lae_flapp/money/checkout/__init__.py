"""From a submitted form to a settled payment."""
