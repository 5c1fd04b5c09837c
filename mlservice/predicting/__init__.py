"""Predictions of tables: what was asked, matched to a model, scored, and put into an answer."""
