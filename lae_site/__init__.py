"""The web site: what visitors and customers see."""
