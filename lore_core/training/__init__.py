"""Training: the small base model, supervised fine-tuning with DeepSpeed, and the distilled student."""
