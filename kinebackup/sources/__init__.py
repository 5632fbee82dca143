"""What is saved: reading the folders of the practice, and copying live databases."""
