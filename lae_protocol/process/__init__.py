"""What every process of ours has: settings, a log, a deadline, a way to stop."""
