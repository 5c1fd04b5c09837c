"""Measurements, each as a ratio to a floor that runs beside it."""
