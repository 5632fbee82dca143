"""The message bus between the daemon, the desktop's agent and the command line."""
