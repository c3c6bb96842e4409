"""Says when the day's orders are late or a plant's sensors fall silent, and emits an asset event about it.

``late_deliveries`` can schedule other DAGs: one that tells the partner, say.
"""

from datetime import datetime, timedelta

from airflow.sdk import Asset, dag, task

from airflow_s3events import ExpectedBy, LeastRate, S3ExpectedObjectsSensor

late_deliveries = Asset("late_deliveries")


# On weekdays from four in the morning (UTC): before the orders are due.
@dag(schedule="0 4 * * 1-5", start_date=datetime(2026, 1, 1), catchup=False)
def expect_deliveries():
    expected = S3ExpectedObjectsSensor(
        task_id="expect",
        bucket_name="landing",
        expectations=[
            ExpectedBy(
                name="orders", key="orders/{day:%Y-%m-%d}/*.csv", by="07:00", timezone="Europe/Berlin"
            ),
            LeastRate(name="plant 3", key="sensors/plant-3/**", per_seconds=900, count=10),
        ],
        watch_seconds=14 * 3600,
        when_broken="return",
        deferrable=True,
        timeout=timedelta(hours=20),
    )

    @task.short_circuit
    def is_broken(report):
        return bool(report["broken"])

    @task(outlets=[late_deliveries])
    def tell(report, *, outlet_events):
        outlet_events[late_deliveries].extra = {"broken": report["broken"]}

    is_broken(expected.output) >> tell(expected.output)


@dag(schedule=[late_deliveries])
def ask_partner():
    @task
    def ask(*, triggering_asset_events):
        for event in triggering_asset_events[late_deliveries]:
            print(event.extra["broken"])

    ask()


expect_deliveries()
ask_partner()
