"""Queues that the common.messaging provider knows of, where it is installed."""
