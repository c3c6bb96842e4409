"""What Airflow's components tell us of themselves."""
