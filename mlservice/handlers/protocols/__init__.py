"""The same predictions in other servers' words: V2, V1 and MLflow."""
