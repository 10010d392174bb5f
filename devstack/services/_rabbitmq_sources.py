"""Ways to a RabbitMQ server: the places of installed ones, and the distribution's packages."""

from __future__ import annotations

from devstack.services import Hint, Installed, Packages, Source, System

SOURCES = (
    # rabbitmqctl stands for the server: it is the one program of it that tells the version and starts nothing
    Source("installed", Installed("rabbitmqctl", (
        "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin", "/opt/homebrew/opt/rabbitmq/sbin",
        "/usr/local/opt/rabbitmq/sbin",
    ), version_args=("version",), siblings=("rabbitmq-server", "rabbitmq-defaults"))),
    Source("packages", Packages(
        (
            "rabbitmq-server", "erlang-base", "erlang-asn1", "erlang-crypto", "erlang-eldap", "erlang-inets",
            "erlang-mnesia", "erlang-os-mon", "erlang-parsetools", "erlang-public-key", "erlang-runtime-tools",
            "erlang-ssl", "erlang-syntax-tools", "erlang-tools", "erlang-xmerl",
        ),
        links={
            "erlang": "usr/lib/erlang",
            "erts": "usr/lib/erlang/erts-*",
            "rabbitmq": "usr/lib/rabbitmq/lib/rabbitmq_server-*",
        },
        program="erts/bin/erlexec",
    )),
    Source("system", System(apt=("rabbitmq-server",), brew=("rabbitmq",))),
)  # fmt: skip

# mnesia, which keeps accounts and topology, says so in many lines
HINTS = (
    Hint(
        r"Cannot read schema|not_a_dets_file|\{mnesia_app,start,|bad_log_file|\{corrupt_log|"
        r"cannot_start_application,\s*mnesia|\{mnesia,\s*\{",
        "what it has on disk is damaged; nothing was changed", "devstack reset --service {name}", is_damage=True,
    ),
)
