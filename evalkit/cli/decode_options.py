"""`--decode.KEY` for every decode setting, made from the settings themselves."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, get_args

import click

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from evalkit.decoding.settings import DecodeSettings


class DecodingCommand(click.Command):
    """A command with the options; the settings are loaded when it is called, not when the program starts."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the command's own parameters, the settings, and `--help` last."""
        return sorted([*super().get_params(ctx), *_options()], key=lambda parameter: parameter.name == "help")


def given_settings(current: DecodeSettings, options: Mapping[str, Any]) -> DecodeSettings:
    """Return the settings with the options that were given. Raises ``ConfigError`` on what cannot be."""
    from evalkit.config.overrides import with_changes

    given = {key: value for key, value in options.items() if value is not None}
    return with_changes(current, given, "--decode.{} {}")


@cache
def _options() -> tuple[click.Option, ...]:
    from evalkit.decoding.settings import DecodeSettings

    return tuple(_option(name, field) for name, field in DecodeSettings.model_fields.items())


def _option(name: str, field: FieldInfo) -> click.Option:
    text = field.description or ""
    choices = [str(choice) for choice in get_args(field.annotation) if isinstance(choice, str)]
    return click.Option(
        [f"--decode.{name}", name],
        type=field.annotation if field.annotation in (int, float) else str,
        metavar="|".join(choices) or None,
        help=f"{text[:1].upper()}{text[1:]}.",
    )
