"""Which directories of the sources changed since a moment, recorded by inotify, and the cursor kept for each drive."""
