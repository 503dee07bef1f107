"""8-bit variants of models, as models of their own."""
