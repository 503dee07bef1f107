"""Progressive synthesis of reasoning: a teacher's structured traces, checked before anything is trained on them."""
