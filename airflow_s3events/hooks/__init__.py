"""Airflow connections turned into queues."""
