"""What a platform team waits for in its first hour, on a real API server."""
