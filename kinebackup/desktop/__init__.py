"""What runs in the session of the person at the computer: the agent, and its notifications."""
