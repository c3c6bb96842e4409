"""Notifiers: what a failed run tells the queues."""
