"""What others may ask of the daemon: front desk, operator, bootstrap, host."""
