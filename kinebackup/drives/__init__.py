"""USB drives: devices and mounts, cloud services to refuse, watching, mounting, formatting, powering off."""
