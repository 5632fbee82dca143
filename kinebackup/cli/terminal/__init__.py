"""What the terminal shows and asks: progress, tables, questions, words."""
