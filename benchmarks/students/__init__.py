"""How far a student follows its teacher, and what the teacher adds to gold labels; paired by query, on what a torso serves."""
