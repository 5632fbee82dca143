"""The command line: one file for each group of commands. Prints, asks, and chooses the exit code; decides nothing."""
