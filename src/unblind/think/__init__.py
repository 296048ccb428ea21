"""VL-Think in the simulator: a carrot, and boards among which an instruction names one."""
