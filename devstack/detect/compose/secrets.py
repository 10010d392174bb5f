"""Secrets of a compose file: none is copied; each becomes a value that is made per stack, or asked for."""

from __future__ import annotations

import re
from typing import Any

from devstack.detect.compose.interpolation import plain, unset
from devstack.detect.compose.report import Report

#: what only this project knows: any value does, as long as everyone in the stack has the same
_OWN = re.compile(
    r"(^|_)(SECRET|SECRETS|SECRET_?KEY(_BASE)?|PASSWORD|PASSWD|PASSPHRASE|PASS|PWD|SALT|SIGNING_?KEY|ENCRYPTION_?KEY"
    r"|JWT_?(KEY|SECRET)|COOKIE|SECRET_ACCESS_KEY|MASTER_KEY|APP_KEY)$",
    re.IGNORECASE,
)
#: what somebody else has given out
_GIVEN = re.compile(
    r"(^|_)(TOKEN|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIALS?|CLIENT_SECRET|WEBHOOK_SECRET|DSN)$", re.IGNORECASE
)
_ELSEWHERE = re.compile(
    r"(STRIPE|AWS|SENTRY|GITHUB|GITLAB|GOOGLE|SLACK|TWILIO|MAILGUN|SENDGRID|OPENAI|EMAIL|SMTP|OAUTH)_"
)
_LOGIN = re.compile(r"://[^/@\s:]*:[^/@\s]+@")
_PASSWORD = re.compile(r"(://[^/@\s:]*:)([^/@\s${}]+)@(?=\$\{)")
#: a shorter one is as likely a word of its own
_SHORTEST = 6
#: no secret, whatever it is called
_HARMLESS = re.compile(r"|true|false|yes|no|none|null|\d{1,6}|/[\w./-]+", re.IGNORECASE)


class Secrets:
    """Values of `[env]` that stand for secrets, each made once however often it is in the file."""

    def __init__(self, report: Report) -> None:
        self._report = report
        #: of `[env]`
        self.values: dict[str, dict[str, Any]] = {}
        self._by_text: dict[str, str] = {}

    def replaced(self, service: str, name: str, value: str) -> str | None:
        """A reference to what stands for the value; None for one that may be copied. service: as the file calls it."""
        text = plain(value)
        is_open = bool(unset(value)) and not text
        is_given = bool(_GIVEN.search(name) or (_OWN.search(name) and _ELSEWHERE.match(name)))
        if _LOGIN.search(text):
            is_given = True
        elif not (is_given or _OWN.search(name)) or (_HARMLESS.fullmatch(text) and not is_open):
            return None
        if is_open and not is_given:
            # compose would make it empty, and so everyone sets it
            text = f"\0{unset(value)[0]}"
        known = self._by_text.get(text)
        if known is None:
            known = name if name not in self.values else _free(f"{_upper(service)}_{name}", self.values)
            self.values[known] = _asked(name, text) if is_given else {"generate": 50}
            self._by_text[text] = known
            what = "asked for" if is_given else "made once per stack"
            self._report.drop((service, "environment", name), f"secrets aren't copied: it is {what}",
                              f"DEVSTACK_ENV_{known}=… at the first `devstack up`" if is_given else
                              f"devstack env --reveal {known}")  # fmt: skip
        return f"${{env.{known}}}"

    def known(self, value: str) -> str | None:
        """A reference to what stands for the value already."""
        name = self._by_text.get(plain(value))
        return f"${{env.{name}}}" if name and len(plain(value)) >= _SHORTEST else None

    def replaced_in(self, text: str) -> str:
        """A command in which no secret stands that has a reference."""
        for value, name in self._by_text.items():
            if len(value) >= _SHORTEST:
                text = re.sub(rf"(?<![\w-]){re.escape(value)}(?![\w-])", f"${{env.{name}}}", text)
        return text

    def without_login(self, service: str, name: str, text: str) -> str:
        """A URL whose password, if it stands there, is what stands for it."""
        def replacement(found: re.Match[str]) -> str:
            secret = self.known(found[2]) or self.replaced(service, f"{name}_PASSWORD", found[2])
            return f"{found[1]}{secret or found[2]}@"

        return _PASSWORD.sub(replacement, text)

    def ask(self, value: str) -> None:
        """Variables without a value become values of `[env]` that may be given."""
        for name in unset(value):
            self.values.setdefault(name, {"ask": f"Value of {name}", "default": ""})


def _asked(name: str, text: str) -> dict[str, Any]:
    asked: dict[str, Any] = {"ask": f"Value of {name}", "secret": True}
    # empty in the file: it does without
    return asked if text else {**asked, "default": ""}


def _upper(service: str) -> str:
    return re.sub(r"[^A-Z0-9]+", "_", service.upper()).strip("_")


def _free(name: str, taken: dict[str, dict[str, Any]]) -> str:
    return name if name not in taken else _free(f"{name}_2", taken)
