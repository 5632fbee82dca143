"""The stand-alone reader that is copied to every drive; shares no code with the product."""
