"""Closed-loop evaluation of policies and the records it leaves."""
