"""From a message to the DAG runs of its events: match, ask the ledger, start, read back, settle.

``dispatcher`` is the way in; what it decides with is beside it. Knows neither Airflow nor AWS.
"""
