"""Pictures of the documentation, made of a city that does not exist."""
