"""MLflow: a tracking store is read, and brought in as runs with their dates and people."""
