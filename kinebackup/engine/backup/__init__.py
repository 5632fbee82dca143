"""From the files of a computer to a snapshot: scanning, comparing with the parent, cutting, saving."""
