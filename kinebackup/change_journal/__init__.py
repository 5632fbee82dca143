"""What changed in the sources since a moment, as the kernel tells it, and since which snapshot of a drive."""
