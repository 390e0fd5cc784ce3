"""What inventory does, a whole batch of commands at a time: load, decide, save, announce."""
