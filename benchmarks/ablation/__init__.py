"""What each part of training adds: the same pairs and budget, one capability more or less, then alignment; paired by query."""
