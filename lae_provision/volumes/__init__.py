"""The daemon's own volume at EBS: made, attached, mounted, copied, grown, moved."""
