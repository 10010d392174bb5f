"""Registers the app with Django."""

from django.apps import AppConfig


class StoreConfig(AppConfig):
    name = "store"
