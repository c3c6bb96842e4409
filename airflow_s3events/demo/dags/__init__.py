"""The two DAG files of ``s3events demo``, as a user would write them."""
