"""OpenVLA-7B and its relatives as their authors published them, in the classes of `unblind.vla`."""
