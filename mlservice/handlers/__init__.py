"""What each route does, by subject; the rooms do not know each other."""
