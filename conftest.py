"""Every suite logs as the services do: one plain line for each event."""

from chassis import logs

logs.configure("tests", "WARNING")
