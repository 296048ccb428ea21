"""Statistics and tables, rendered from the records alone."""
