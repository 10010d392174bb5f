"""A compose file as a profile (decision 0024): `convert` does it, each other module knows one part of it."""
