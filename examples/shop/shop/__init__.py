"""The project: settings, URLs, and the entry points of web, worker, beat and shipper."""
