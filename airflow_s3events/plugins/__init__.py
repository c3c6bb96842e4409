"""How Airflow finds what is neither operator nor trigger."""
