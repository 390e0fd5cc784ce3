"""Inventory: products, lots, and what each sale took of them, first in, first out."""
