"""Clients of other servers, unmodified, against this one: `make conformance`.

They run in an environment of their own, where nothing of this service is installed;
the service runs from its own environment, as a process.
"""
