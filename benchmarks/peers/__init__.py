"""Other servers of a scikit-learn model, each in an environment of its own."""
