"""Dockerfile and compose file, carried out command by command without a container engine."""
