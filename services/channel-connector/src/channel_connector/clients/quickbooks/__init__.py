"""QuickBooks Online, known to this package and the composition root alone.

Source: Intuit's reference and recorded traffic, as collected in the project's fact sheet.
"""
