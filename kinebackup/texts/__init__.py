"""The words of the status and of the notices: facts in, sentences out."""
