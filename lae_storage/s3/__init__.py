"""An S3 bucket as the storage server needs it: one interface, two implementations."""
