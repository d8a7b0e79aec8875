"""What the page of the night tells: runs and stages, lights, files."""
