"""This computer as the daemon meets it: logind, polkit, systemd, clock, power supply, mounts, threads."""
