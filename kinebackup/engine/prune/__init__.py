"""Deleting what nobody needs, and knowing what that is: after a loss, nothing."""
