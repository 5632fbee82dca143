"""What every job needs of the practice: its keys on this computer, its drives, access to a repository."""
