"""Demonstrations: the planner's episodes as files, and what is learned of them."""
