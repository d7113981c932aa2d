"""What every HTML page shares: rendering, entity highlights, and the errors page."""
