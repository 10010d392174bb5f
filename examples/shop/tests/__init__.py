"""Tests of the shop, against the real Postgres, Redis and RabbitMQ that the environment names."""
