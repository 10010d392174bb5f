"""Throws every fault of the catalogue at devstack, and some at what people would use instead, and writes the table."""
