"""The sales-processor: captured transactions become sales with their true margins."""
