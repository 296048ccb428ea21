"""Policies behind a socket: what they declare, how they are asked, and how ours are served."""
