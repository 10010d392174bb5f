"""The shop's one Django app: products, orders, and the way of an order from placed to shipped."""
