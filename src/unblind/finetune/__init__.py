"""Fine-tuning at the published sizes: OpenVLA-7B with its teachers, on one or several GPUs."""
