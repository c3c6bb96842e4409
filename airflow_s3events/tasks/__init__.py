"""What is called inside a task of a run."""
