"""`khulasa token`: tokens for clients. Needs no server; the file it prints lines for is `KHULASA_TOKENS_FILE`."""

import hashlib
import json
import re
import secrets
from typing import Annotated

import typer

app = typer.Typer(help="Make tokens for the clients of a gateway.", no_args_is_help=True)

PREFIX = "khulasa_"
"""Lets secret scanners find a token that was committed by mistake."""
TOKEN_BYTES = 32
NAME = re.compile(r"[\x21-\x7e]{1,200}")


@app.callback()
def _group() -> None:
    """Keeps `new` a command of its own while it is the only one."""


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The client's name, as logs and limits will have it.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Print a new token, which is kept nowhere, and the lines by which a gateway knows it."""
    if not NAME.fullmatch(name):
        raise typer.BadParameter(f"{name!r} is not 1 to 200 ASCII characters without spaces.", param_hint="NAME")
    token = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    digest = hashlib.sha256(token.encode()).hexdigest()
    if as_json:
        print(json.dumps({"name": name, "token": token, "token_sha256": digest}))
        return
    print(f"# For the client, as KHULASA_TOKEN; it is not shown again:\n{token}\n")
    # A JSON string of printable ASCII is a TOML key too.
    lines = f'[{json.dumps(name)}]\ntoken_sha256 = ["{digest}"]'
    print(f"# For the file that the gateway's KHULASA_TOKENS_FILE names:\n{lines}")
