"""A private Valkey, and the other processes of a one-command start, as supervised children."""
