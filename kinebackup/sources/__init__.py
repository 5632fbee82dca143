"""What is read: walking patient folders, live databases."""
