"""A stand-in for QuickBooks Online that real client libraries can drive.

Law: what a client of the real service can see (bodies, headers, statuses, times, tokens) is
imitated; what only the sandbox can do (change the books, the clock, the network) lives under
`/control`.
"""

__version__ = "0.1.0"
