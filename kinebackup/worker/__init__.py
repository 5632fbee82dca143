"""The process of one job, its protocol with the daemon, and what it runs."""
