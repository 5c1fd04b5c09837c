"""Tests: real Valkey, real arq worker, real sockets."""
