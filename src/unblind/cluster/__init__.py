"""The batch system (SLURM): what it offers, what is asked of it, and whether jobs work."""
