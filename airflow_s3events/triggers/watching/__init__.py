"""Behind ``S3EventAssetTrigger``: the poller that all watchers of a queue share, and their roll."""
