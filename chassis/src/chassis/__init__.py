"""The runtime that every service shares; it knows nothing of what the services are for.

`consumer` applies records exactly once, `outbox` publishes what was committed, `service` puts them
together with a database, an HTTP server and a clean stop.
"""
