"""The rules of sales as functions over frozen values: no I/O, no clock."""
