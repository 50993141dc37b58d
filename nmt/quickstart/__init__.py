"""The demonstration of `nmt quickstart`, and the small corpus that it trains on."""
