"""S3: a real server (SeaweedFS) that stores, behind a front that checks."""
