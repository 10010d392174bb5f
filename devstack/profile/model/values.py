"""What the profile's tables are made of: the frozen base model, names, ports, durations, environment values."""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

#: names become file names, program names, DNS-like labels and Procfile entries
NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
Name = Annotated[str, Field(pattern=rf"^{NAME.pattern}$")]
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
EnvName = Annotated[str, Field(pattern=rf"^{ENV_NAME.pattern}$")]
#: of what foreign programs read, and no shell would take: `discovery.type`
FOREIGN_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Status = Annotated[int, Field(ge=100, le=599)]
RuntimeName = Literal["auto", "docker", "native"]
#: of an image: [REGISTRY[:PORT]/]PATH[:TAG][@DIGEST], as the engine takes it
Image = Annotated[str, Field(
    pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
    r"(@sha256:[0-9a-f]{64})?$", max_length=400,
)]
Registry = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]*(:[0-9]+)?(/[a-z0-9._-]+)*$", max_length=200)]
Memory = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}[kmg]$")]
SignalName = Literal["TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "KILL"]


def name_from(text: str) -> str:
    """A `Name` made from any text, such as a folder's: lower case, all else a dash; `stack` where nothing is left."""
    made = re.sub(r"[^a-z0-9_-]+", "-", text.lower()).lstrip("0123456789_-")[:40].rstrip("-_")
    return made or "stack"


def one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def fault_of(command: str, *, shell: bool = False) -> str:
    """Why the command can't be run, "" where it can."""
    if not command.strip():
        return "the command is empty"
    if shell:
        return ""
    try:
        words = shlex.split(command)
    except ValueError as error:
        return f"the command can't be split into words: {str(error).lower()}"
    if "\n" in command.strip():
        return "a command is one line, unless `shell = true`"
    return "" if words else "the command is empty"


def ensure_splits(command: str) -> str:
    if fault := fault_of(command):
        raise ValueError(fault)
    return command


Strings = Annotated[tuple[str, ...], BeforeValidator(one_or_many, json_schema_input_type=str | tuple[str, ...])]


class Model(BaseModel):
    """Frozen; an unknown key is an error; `true` is no number and "10" none either (strict), but a list is a tuple."""

    # deferred: most models are only ever parts of another one, whose validator has all of theirs in it
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _tuples(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}


SecretFormat = Literal["text", "hex", "base64", "base64url"]


class Generate(Model):
    """A secret made once per stack, kept across runs."""

    generate: Annotated[int, Field(strict=True, ge=8, le=4096)]
    """Length: of a `text` in characters, of the other formats in random bytes."""
    format: SecretFormat = "text"
    """`text`: letters and digits; or the bytes as `hex`, `base64` or `base64url`, padded: a Fernet key is 32 bytes as
    `base64url`."""


class EnvFile(Model):
    """A file of `NAME=value` lines."""

    path: str
    """Where it is in the project."""
    required: bool = True
    """`false`: it may be missing."""


def _env_files(value: Any) -> Any:
    entries = value if isinstance(value, list | tuple) else (value,)
    return tuple({"path": entry} if isinstance(entry, str) else entry for entry in entries)


EnvFiles = Annotated[
    tuple[EnvFile, ...],
    BeforeValidator(_env_files, json_schema_input_type=str | EnvFile | tuple[str | EnvFile, ...]),
]


class Ask(Model):
    """A value asked from the person who sets the stack up."""

    ask: str
    """The question."""
    secret: bool = False
    """Never shown again."""
    default: str | None = None
    """Used without a question; `DEVSTACK_ENV_NAME` gives another value. Without a default and where nobody can be
    asked, the run stops and says so."""


def _env_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _env_shape(value: Any) -> str | None:
    if isinstance(value, Generate) or (isinstance(value, dict) and "generate" in value):
        return "<generate>"
    if isinstance(value, Ask) or (isinstance(value, dict) and "ask" in value):
        return "<ask>"
    return None if isinstance(value, dict) else "<text>"


# The tags tell a mistake's place in a union; the angle brackets keep them apart from any key of a file.
EnvValue = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[Generate, Tag("<generate>")] | Annotated[Ask, Tag("<ask>")],
    Discriminator(_env_shape, custom_error_type="shape",
                  custom_error_message="wanted a text, { generate = 50 } or { ask = \"question\" }"),
    BeforeValidator(_env_text, json_schema_input_type=str | bool | int | float | Generate | Ask),
]
Env = dict[EnvName, EnvValue]
PlainText = Annotated[str, BeforeValidator(_env_text, json_schema_input_type=str | bool | int | float)]
PlainEnv = dict[EnvName, PlainText]
ForeignEnv = dict[Annotated[str, Field(pattern=rf"^{FOREIGN_ENV_NAME.pattern}$")], PlainText]
