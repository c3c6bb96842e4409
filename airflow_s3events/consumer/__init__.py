"""The one receive loop: long-poll, keep in flight, hand over, settle, wait out outages, stop cleanly."""

from airflow_s3events.consumer.consumer import Consumer
from airflow_s3events.consumer.queue import Queue
from airflow_s3events.consumer.settings import ConsumerSettings
from airflow_s3events.consumer.stats import ConsumerStats

__all__ = ["Consumer", "ConsumerSettings", "ConsumerStats", "Queue"]
