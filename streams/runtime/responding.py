"""The responder of one slot: functions, the view, and the engine's loop around them.

Lives here: wiring, the time that a function is given, what is told of one that fails. Must not
live here: what becomes of a query (`streams.processors.responder`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from threading import Event
from typing import Final, cast

from connectors.respond import Answer, NoAnswerError, Request, Respond, Responder, load_responder
from streams.engine.errors import FatalError
from streams.engine.events import Telemetry
from streams.engine.processor import Processor
from streams.engine.worker import Worker
from streams.processors.responder import Responding
from streams.runtime.lane import Lane
from streams.runtime.logs import log
from streams.runtime.process import EXIT_FATAL
from streams.runtime.settings import Settings
from streams.runtime.views import open_view
from streams.runtime.wiring import MachineClock, WorkerPlan, engine_worker, kafka_settings
from streams.runtime.worker import Post, work
from streams.views.answers import ViewAnswers
from streams.views.model import logs
from topics import Catalogue, load_catalogue
from topics.errors import EXIT_CONFIG, OperatorError

FOLDER: Final = "responders"
"""Of the state folder, so that slots of workers and of responders have locks of their own."""
# Beside the function's own time a transaction is open for as long as a commit interval, and then
# has to end.
_ROOM_S: Final = 2.0


def configured(settings: Settings, catalogue: Catalogue) -> Responder:
    """The responders of the settings, as one: functions first, then the view.

    Raises:
        OperatorError: `responder_invalid`, `config_invalid`.
    """
    wanted, transaction_s = settings.respond, settings.kafka.transaction_timeout_ms / 1000
    if wanted.timeout_s + _ROOM_S > transaction_s:
        raise OperatorError(
            "config_invalid",
            what=f"respond.timeout_s is {wanted.timeout_s:g}, too long for a transaction",
            why=f"the broker ends a transaction after {transaction_s:g} s, and each query that "
            "took so long would be asked again for ever",
            fix=f"at most {transaction_s - _ROOM_S:g}, or a longer kafka.transaction_timeout_ms",
            exit_code=EXIT_CONFIG,
        )
    made = load_responder(wanted.functions)
    made.check(catalogue)
    if wanted.from_view:
        _check_nouns(wanted.leave, catalogue)
        kept = {entry.noun for entry in logs(catalogue, settings.views.nouns).values()}
        answers = ViewAnswers(catalogue, partial(open_view, settings.views, catalogue))
        made.entries += answers.responder(kept - {*wanted.leave}).entries
    return made


def _check_nouns(nouns: Sequence[str], catalogue: Catalogue) -> None:
    if unknown := sorted(set(nouns) - catalogue.nouns.keys()):
        raise OperatorError(
            "config_invalid",
            what=f"respond.leave names what is no noun: {', '.join(unknown)}",
            fix="name nouns as in docs/reference/interfaces.md",
            exit_code=EXIT_CONFIG,
        )


def run_responder(
    bootstrap: str,
    settings: Settings,
    slot: int,
    stopping: Event,
    fail: Callable[[FatalError], None],
) -> None:
    """Answer as the settings say until `stopping` is set. Raises as `configured` and `serve`."""
    responder = configured(settings, load_catalogue(settings.catalogue))
    serve(bootstrap, settings, responder, stopping, slot=slot, fail=fail)


def end_hard(error: FatalError) -> None:
    """End the process at once: what is committed is not affected, and the next one goes on."""
    log("responder", logging.ERROR, "process failed", code=error.code, reason=str(error))
    os._exit(EXIT_FATAL)


def serve(
    bootstrap: str,
    settings: Settings,
    responder: Responder,
    stopping: Event,
    *,
    slot: int,
    fail: Callable[[FatalError], None] = end_hard,
) -> None:
    """Answer with a responder until `stopping` is set.

    Args:
        bootstrap: The cluster.
        settings: Which interfaces, how long a function may take, and all about Kafka.
        responder: The functions.
        stopping: Ends it behind the last commit.
        slot: A number that no other responder of the cluster has.
        fail: Ends the process, whatever this thread waits for.

    Raises:
        FencedError, FatalError: see `streams.engine.worker.Worker.run`.
        OSError: the health port is in use.
    """
    wanted, catalogue = settings.respond, load_catalogue(settings.catalogue)
    plan = WorkerPlan(
        catalogue,
        wanted.interfaces or tuple(catalogue.interfaces),
        kafka_settings(settings, bootstrap, catalogue),
        settings.worker.limits(),
        settings.worker.state_folder / FOLDER,
    )
    lane = Lane("responder")
    make = partial(_worker, plan, slot, responder, partial(_ask, lane, wanted.timeout_s))
    work(Post("responder", slot, settings.http, wanted.http_port), plan, make, stopping, fail)
    lane.close()


def _worker(
    plan: WorkerPlan,
    slot: int,
    responder: Responder,
    ask: Callable[[Respond, Request], Answer],
    telemetry: Telemetry,
) -> Worker:
    clock = MachineClock()
    processor = Responding(plan.catalogue, plan.interfaces, responder, ask, clock.epoch_ms)
    return engine_worker(plan, slot, cast("Processor[object]", processor), telemetry)


def _ask(lane: Lane, timeout_s: float, respond: Respond, request: Request) -> Answer:
    """Call the function, in its time; what is wrong with it is told here, without the query."""
    about = {"noun": request.noun, "interface": request.interface, "at": request.place}
    try:
        answer = lane.call(partial(respond, request), timeout_s)
    except NoAnswerError:
        raise
    except FatalError:
        raise
    except TimeoutError:
        log("responder", logging.ERROR, "responder is too slow", **about, within_s=timeout_s)
        raise
    except Exception as error:
        # Its text may hold what was asked for.
        log("responder", logging.ERROR, "responder failed", **about, reason=type(error).__name__)
        raise
    return answer
