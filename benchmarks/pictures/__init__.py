"""Whether a small model that is shown pictures looks at them: four arms from one start, told apart by what they are shown."""
