"""Fine-tuning speed: a stage's own loop beside TRL's SFTTrainer, at equal pairs a step and equal loss."""
