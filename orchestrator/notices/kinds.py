"""Where a notice can go."""

from typing import Literal, get_args

Kind = Literal["desktop", "webhook", "command", "email"]

KINDS: tuple[Kind, ...] = get_args(Kind)
"""All of them."""

ADDRESS_HINTS: dict[Kind, str] = {
    "webhook": "Give --url https://..., or env:NAME, file:PATH or - to keep it out of the line.",
    "email": "Give --url 'mailtos://USER:PASSWORD@HOST?to=ADDRESS', or env:NAME, file:PATH or -.",
}
"""The kinds that need an address, and what to do without one."""
