"""Writes profiles/schema.json anew from the profile's model and the service kinds. Run it after changing either."""

from pathlib import Path

from devstack import services
from devstack.profile.schema import schema_text

Path(__file__).resolve().parent.parent.joinpath("profiles", "schema.json").write_text(
    schema_text(services.declarations()), encoding="utf-8"
)
