"""Redundancy of a repository: parity files, what is made of them, and what is healed by them."""
