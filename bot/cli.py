"""The command line. Imports wait until a command needs them, so that --help is quick."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

app = typer.Typer(
    name="bullpen",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Runs a crew of coding agents, steered from chat.",
)

Config = Annotated[str | None, typer.Option(help="Settings file (else ./bullpen.toml).")]
Data = Annotated[str | None, typer.Option(help="Folder for database, sessions and pages.")]


@app.callback()
def root() -> None:
    """Runs a crew of coding agents, steered from chat."""


@app.command()
def up(
    config: Config = None,
    data: Data = None,
    repo: Annotated[str | None, typer.Option(help="Path or URL of the repository.")] = None,
    until_idle: Annotated[
        bool,
        typer.Option(
            "--until-idle",
            help="Carry out standard input, "
            "work until nothing is left or all waits for a person, then end: 0, "
            "or 1 when a task failed.",
        ),
    ] = False,
    stop_agents: Annotated[
        bool,
        typer.Option(
            "--stop-agents",
            help="At the end stop the agents too; else they go on, and the next start takes over.",
        ),
    ] = False,
    no_console: Annotated[
        bool,
        typer.Option(
            "--no-console", help="Neither read commands here nor print answers (for services)."
        ),
    ] = False,
) -> None:
    """Start the bot: orchestrator, chat faces, dashboard."""
    import asyncio

    from bot.app import up as run
    from bot.life import Options

    options = Options(
        sys.stdin, sys.stdout, config, data, repo, until_idle, stop_agents, not no_console
    )
    raise typer.Exit(asyncio.run(run(options)))


@app.command("open")
def open_(config: Config = None, data: Data = None) -> None:
    """Print a link that opens the dashboard once."""
    from bot.app import dashboard_link

    typer.echo(dashboard_link(config, data))


@app.command()
def mcp() -> None:
    """Speak the Model Context Protocol on standard input and output. Agents start this."""
    from core.errors import Broken

    try:
        from bot.mcp.server import serve
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in ("mcp", "pydantic", "aiohttp"):
            raise
        raise Broken(f"{library} is missing: .venv/bin/pip install -e '.[mcp]'") from None
    serve()


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    typer.echo(installed("bullpen"))


def main() -> None:
    """Run the command line; faults become one clear line each, never a traceback."""
    from core.errors import BullpenError

    try:
        app()
    except BullpenError as error:
        from bot.guard import AlreadyRunning

        typer.echo(str(error), err=True)
        sys.exit(3 if isinstance(error, AlreadyRunning) else 2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
