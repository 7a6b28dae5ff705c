"""What one named operator may ask, a noun at a time; ``..facet`` joins them."""
