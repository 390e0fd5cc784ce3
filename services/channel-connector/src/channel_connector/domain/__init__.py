"""What a bookkeeper would recognise: channels, documents, discounts. No await, no I/O, no clock."""
