"""The command `cimstream`.

Lives here: the list of commands, and what the process ends with. Must not live here: what a
command does (one module each), how an error is shown (`errors`).

Invariant: whatever happens, a person sees one message and no stack trace, and the exit code
is one of those below.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from streams.cli import (
    broker,
    codes,
    deliver,
    deliveries,
    demo,
    dlq,
    doctor,
    gateway,
    glossary,
    model,
    publish,
    replay,
    request,
    respond,
    rules,
    run,
    send,
    state,
    stats,
    tail,
    topics,
    view,
)
from streams.cli.errors import (
    EXIT_INTERNAL,
    EXIT_INTERRUPTED,
    explain,
    explain_unexpected,
    explain_usage,
)
from topics.errors import OperatorError

app = typer.Typer(
    name="cimstream",
    help="IEC 61968-2 interfaces as an exactly-once event pipeline on Apache Kafka.",
    epilog=(
        "Exit codes: 0 done; 1 failed, or counts are wrong; 2 wrong usage or configuration;"
        " 3 changes or a reply are pending; 69 no Kafka broker, or no gateway, can be had;"
        " 70 a fault in cimstream; 75 another process took a slot; 78 committed state is gone;"
        " 130 interrupted."
    ),
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

# One line per command; each lives in the module of its name.
app.add_typer(broker.app)
app.add_typer(topics.app)
app.add_typer(model.app)
app.command()(run.run)
app.command()(gateway.gateway)
app.command("gateway-key")(gateway.gateway_key)
app.command()(respond.respond)
app.command()(deliver.deliver)
app.command()(send.send)
app.command()(publish.publish)
app.command()(request.request)
app.command()(tail.tail)
app.command()(stats.stats)
app.add_typer(dlq.app, name="dlq")
app.add_typer(deliveries.app)
app.command()(replay.replay)
app.add_typer(rules.app)
app.add_typer(state.app)
app.add_typer(view.app)
app.command()(codes.codes)
app.command()(doctor.doctor)
app.command()(glossary.glossary)
app.command()(demo.demo)


def main() -> None:
    """Run the command line and end the process."""
    # A shell that starts something in the background has it ignore SIGINT, and Python then
    # leaves it so; a command that follows a topic would not end when it is asked to.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: Sequence[str]) -> int:
    """Run one command and give its exit code; every error is shown here and nowhere else."""
    try:
        result = app(list(arguments), prog_name="cimstream", standalone_mode=False)
    except OperatorError as error:
        explain(error)
        return error.exit_code
    except TyperException as error:
        explain_usage(error)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001  # the last place where it can become a message
        explain_unexpected(error)
        return EXIT_INTERNAL
    return result if isinstance(result, int) else 0
