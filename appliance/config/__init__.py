"""The site's configuration: schema, loading with every error at once, the commented example."""
