"""What customers cost: the price list, the arithmetic, and what it says of plans."""
