"""The page in Airflow's UI: what it reads, what it shows, and what it lets a visitor do. No web framework."""
