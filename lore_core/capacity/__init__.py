"""How much of what a deployment needs: `lore plan`."""
