"""What metrics, intervals and gates cost at the size of the published benchmark."""
