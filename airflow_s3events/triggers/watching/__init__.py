"""Behind ``S3EventAssetTrigger``: the consumer that all watchers of a queue share, and their roll."""
