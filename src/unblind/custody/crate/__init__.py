"""The published study as a Workflow Run RO-Crate."""
