"""What the parent snapshot tells a backup: how things were, what may be taken over, what stands in for what is lost."""
