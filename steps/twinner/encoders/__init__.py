"""Pretrained encoders, as the exports that both frameworks read: where they come from and what is in them."""
