"""Making the base and the policies: generated images with text, pretraining and fine-tuning."""
