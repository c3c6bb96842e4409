"""Whole DAGs, built in one call."""
