"""A Tahoe-LAFS storage server that keeps everything in a bucket."""
