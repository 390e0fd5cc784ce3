"""Remote systems, one package each."""
