"""`connection add|list|remove`: accounting connections, as the OAuth page makes them for people."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from local_stack import StackError
from salesync.addresses import DEFAULT_FOLDER, DataFolder
from salesync.http import CONNECTOR, Service

app = typer.Typer(no_args_is_help=True, help="Connect QuickBooks companies, list and remove them.")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def add(
    business: Annotated[str, typer.Option(help="The business that the company belongs to.")],
    realm: Annotated[str, typer.Option(help="The company's id in QuickBooks (realm id), digits.")],
    refresh_token: Annotated[
        str, typer.Option(help="A refresh token of the company, as Intuit's OAuth gives it.")
    ],
    connection_id: Annotated[
        str | None, typer.Option(help="The id that the connection shall have; else one is made.")
    ] = None,
    data: DataFolder = DEFAULT_FOLDER,
    *,
    as_json: AsJson = False,
) -> None:
    """Store a connection and print its id. Doing it again replaces the tokens only."""
    body = {"realm_id": realm, "refresh_token": refresh_token}
    if connection_id is not None:
        body["connection_id"] = connection_id
    with Service(CONNECTOR, data) as connector:
        added = connector.post("businesses", business, "connections", body=body)
    typer.echo(json.dumps(added, indent=2) if as_json else added["connection_id"])


@app.command("list")
def list_(
    business: Annotated[str | None, typer.Option(help="Only of this business.")] = None,
    data: DataFolder = DEFAULT_FOLDER,
    *,
    as_json: AsJson = False,
) -> None:
    """Show the connections and whether they work; no secrets."""
    with Service(CONNECTOR, data) as connector:
        found = _connections(connector, business)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    elif not found:
        typer.echo("There is no connection.")
    else:
        table = Table(box=None, pad_edge=False)
        for name in ("Business", "Connection", "Realm", "Status", "Company"):
            table.add_column(name, no_wrap=name != "Company", overflow="fold")
        for one in found:
            table.add_row(
                one["business_id"],
                one["connection_id"],
                one["realm_id"],
                one["status"],
                one["company_name"] or "",
            )
        Console(highlight=False).print(table)


@app.command()
def remove(
    connection_id: Annotated[str, typer.Option(help="The connection's id.")],
    business: Annotated[
        str | None, typer.Option(help="Its business; needed where two use the same id.")
    ] = None,
    data: DataFolder = DEFAULT_FOLDER,
) -> None:
    """Remove a connection with its tokens. Its channel and its sales stay; syncs then fail."""
    with Service(CONNECTOR, data) as connector:
        owners = [
            one["business_id"]
            for one in _connections(connector, business)
            if one["connection_id"] == connection_id
        ]
        if not owners:
            raise StackError(
                f"There is no connection {connection_id}. `salesync connection list` shows all."
            )
        if len(owners) > 1:
            raise StackError(
                f"{', '.join(owners)} each have a connection {connection_id}. Say which business is"
                " meant with --business."
            )
        connector.delete("businesses", owners[0], "connections", connection_id)
    typer.echo(f"Removed {connection_id} of {owners[0]}.")


def _connections(connector: Service, business: str | None) -> list[dict[str, Any]]:
    return [
        connection
        for one in ([business] if business else businesses(connector))
        for connection in connector.items("businesses", one, "connections")
    ]


def businesses(connector: Service) -> list[str]:
    """The ids of all businesses."""
    return [one["business_id"] for one in connector.items("businesses")]
