"""Wait inside a DAG: for the day's file of a partner, and for all parts of a job's output.

The bucket answers, so it does not matter whether the objects came before the sensors, and a cleared sensor
finds them again. A message of the queue ``nightly-wake-ups`` only says that it is worth looking now.
"""

from datetime import datetime, timedelta

from airflow.sdk import dag, task

from airflow_s3events import ObjectEvent, S3EventSensor
from airflow_s3events.filters import size

# Nothing but these sensors reads this queue, so each may delete the messages about its own objects.
wake_ups = {"sqs_queue": "nightly-wake-ups", "consume": "matching"}


@dag(schedule="@daily", start_date=datetime(2026, 1, 1), catchup=False)
def nightly_report():
    orders = S3EventSensor(
        task_id="wait_for_orders",
        bucket_key="s3://landing/orders/{{ ds }}.csv",
        when=size(min_bytes=1),  # an empty file is one that is still to come
        deferrable=True,
        timeout=timedelta(hours=6),
        **wake_ups,
    )
    prices = S3EventSensor(
        task_id="wait_for_prices",
        marker_key="s3://lake/prices/day={{ ds }}/_SUCCESS",
        deferrable=True,
        timeout=timedelta(hours=6),
        **wake_ups,
    )

    @task
    def report(orders, prices):
        (order,) = [ObjectEvent.deserialize(data) for data in orders]
        _marker, *parts = [ObjectEvent.deserialize(data) for data in prices]
        print(order.uri, "of", order.size, "bytes, with", len(parts), "files of prices")

    report(orders.output, prices.output)


nightly_report()
