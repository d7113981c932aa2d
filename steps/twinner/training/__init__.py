"""Training: one outline for every framework, and a module for each of them."""
