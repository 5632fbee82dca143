"""Cloud services and network shares: recognised by what their clients leave on this computer."""
