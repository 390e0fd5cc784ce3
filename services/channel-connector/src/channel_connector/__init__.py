"""Pulls sales documents from accounting systems and publishes them normalised."""
