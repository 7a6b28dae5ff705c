"""What others may ask of the daemon: sites, hosts, operators."""
