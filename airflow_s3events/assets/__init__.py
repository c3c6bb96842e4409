"""Assets that S3 events schedule."""
