"""Behind ``S3EventDispatchOperator``: what its settings may be, its queues, and one shift of its work."""
