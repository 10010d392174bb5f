"""What a stack runs on: the machine itself (`native`, with binaries from `servers`) or containers.

A runtime observes and performs; it decides nothing about when.
"""
