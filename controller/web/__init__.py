"""The Flask site: thin blueprints over the services."""
