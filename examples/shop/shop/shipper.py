"""The shipping daemon, `python -m shop.shipper`: ships invoiced orders until SIGTERM or Ctrl-C."""

import os
import signal
from types import FrameType

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    django.setup()
    # Both need the settings in place.
    from shop.celery import app
    from store.shipping import Shipper

    shipper = Shipper(app.connection_for_read())

    def stop(_signal: int, _frame: FrameType | None) -> None:
        shipper.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    shipper.run()


if __name__ == "__main__":
    main()
