"""From a user's files to a first configuration, and the check of one written by hand."""
