"""What makes a grid this grid: its keys, made before any host, sealed, and opened."""
