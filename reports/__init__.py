"""From MLflow to tables, figures and one HTML page; nothing here trains or needs a GPU."""
