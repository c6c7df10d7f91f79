"""Fetches public data sets and unpacks them; nothing here contacts a server on import."""
