"""The program that runs in the background: what happens, what is decided, what is done."""
