"""What is written to: facts about devices and mounts, clouds to refuse, places of enrolled drives."""
