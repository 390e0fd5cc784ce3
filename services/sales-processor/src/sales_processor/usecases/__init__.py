"""What the sales-processor does, a whole batch at a time: load, decide, save, announce."""
