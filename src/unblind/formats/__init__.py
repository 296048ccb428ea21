"""Demonstrations in the formats of others: RLDS, read and written, and LeRobot, written."""
