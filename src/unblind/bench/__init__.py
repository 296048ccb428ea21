"""Speed: of the simulator, of fine-tuning and the policy at small scale, and on one GPU."""
