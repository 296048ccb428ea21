"""The study's graph as data: what decides a result, and which code is proved to give the same."""
