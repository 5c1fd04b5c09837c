"""arq workers: they take trainings, fit them in child processes, and store the coefficients."""
