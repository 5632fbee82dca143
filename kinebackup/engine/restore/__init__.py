"""From a snapshot to files below a destination."""
