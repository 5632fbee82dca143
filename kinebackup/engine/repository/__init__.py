"""A repository as files: opening, locking, reading blobs, committing packs, keeping the index in step with them."""
