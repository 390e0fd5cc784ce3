"""Kauri Ledger, an accounting system that does not exist, and an adapter to it.

It proves that the connector's core needs nothing of QuickBooks: its documents have statuses and no
tombstones, times and no versions, pages by number over ids, tax inside the amounts, discounts on
lines, rates the other way round, and a consent that names the company only with the tokens.
"""
