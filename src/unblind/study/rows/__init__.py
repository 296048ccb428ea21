"""Rows of the table of stages (`unblind.study.stages`), by what they make."""
