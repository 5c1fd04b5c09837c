"""Random faults under load, and what must be true all the same."""
