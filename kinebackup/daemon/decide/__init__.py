"""Every decision of the daemon, as pure functions over values: no clock, no file, no drive."""
