"""`python -m tests.chaos`: break things, and see whether the promise holds."""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from threading import Lock, Thread

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streams.runtime.kafka.errors import BrokerError
from tests.chaos.cluster import Cluster
from tests.chaos.runner import play, unplayed
from tests.chaos.scenario import Scenario, Verdict
from tests.chaos.scenarios import ALL

_SEEDS = 1_000_000
_MINUTES = 9.0
_STYLE = {"ok": "green", "failed": "bold red", "blind": "bold red", "skipped": "yellow"}


def main() -> int:
    """Play the scenarios; 1 if any verdict is bad, 69 if there is no Kafka to be had."""
    # Ended from outside, too, everything that was started here is ended.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    options = _options()
    console = Console(stderr=True)
    if options.list:
        for scenario in ALL:
            sys.stdout.write(f"{scenario.name:26}{scenario.about}\n")
        return 0
    wanted = [s for s in ALL if not options.scenario or s.name in options.scenario]
    try:
        if options.jobs > 1 and len(wanted) > 1:
            verdicts = _play_beside(wanted, options, console)
        else:
            verdicts = _play_all(wanted, options, console)
    except BrokerError as error:
        console.print(str(error), style="red")
        return 69
    _table(console, verdicts)
    return 0 if all(verdict.good for verdict in verdicts) else 1


def _play_all(
    scenarios: list[Scenario], options: argparse.Namespace, console: Console
) -> list[Verdict]:
    verdicts: list[Verdict] = []
    ends = time.monotonic() + options.minutes * 60 if options.minutes else None
    with (
        tempfile.TemporaryDirectory(prefix="cimstream-chaos-") as name,
        console.status("starting Kafka") as status,
        Cluster(Path(name), 3 if options.long else 1) as cluster,
    ):
        cluster.apply_topics()
        for number, scenario in enumerate(scenarios, 1):
            seed = random.randrange(_SEEDS) if options.seed is None else options.seed
            if ends is not None and time.monotonic() > ends:
                reason = f"the {options.minutes} minutes of the run are over"
                verdict = unplayed(scenario, seed, reason, long=options.long)
            else:
                status.update(f"{number}/{len(scenarios)} {scenario.name}: {scenario.about}")
                verdict = play(scenario, cluster, seed, long=options.long, logs=options.logs)
            verdicts.append(verdict)
            _write(verdict, options.report)
    return verdicts


def _play_beside(
    scenarios: list[Scenario], options: argparse.Namespace, console: Console
) -> list[Verdict]:
    """Deal the scenarios out to processes with clusters of their own: most of them wait."""
    given = [] if options.seed is None else ["--seed", str(options.seed)]
    given += ["--long"] if options.long else []
    given += ["--logs", str(options.logs)] if options.logs else []
    given += ["--minutes", str(options.minutes or 0)]
    players = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.chaos", "--jobs", "1", *given,
             *(word for scenario in hand for word in ("--scenario", scenario.name))],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        for hand in (scenarios[number :: options.jobs] for number in range(options.jobs))
    ]  # fmt: skip
    verdicts: list[Verdict] = []
    lock = Lock()

    def listen(player: subprocess.Popen[str]) -> None:
        for line in player.stdout or ():
            verdict = Verdict.from_json(line)
            with lock:
                verdicts.append(verdict)
                _write(verdict, options.report)
                status.update(f"{len(verdicts)} of {len(scenarios)} played")

    try:
        with console.status(f"{len(scenarios)} scenarios, {options.jobs} at a time") as status:
            listeners = [Thread(target=listen, args=(player,)) for player in players]
            for listener in listeners:
                listener.start()
            for listener in listeners:
                listener.join()
    finally:
        for player in players:
            player.terminate()
        for player in players:
            player.wait()
    missing = {scenario.name for scenario in scenarios} - {v.scenario for v in verdicts}
    for name in sorted(missing):
        console.print(f"[red]{name} was not played to its end[/]: play it alone to see why")
    order = [scenario.name for scenario in scenarios]
    played = sorted(verdicts, key=lambda verdict: order.index(verdict.scenario))
    return played if not missing else [*played, *(_lost(name, options) for name in missing)]


def _lost(name: str, options: argparse.Namespace) -> Verdict:
    """The verdict of a scenario whose player ended before it."""
    (scenario,) = (scenario for scenario in ALL if scenario.name == name)
    verdict = unplayed(scenario, options.seed or 0, "its process ended", long=options.long)
    return replace(verdict, result="failed")


def _write(verdict: Verdict, report: Path | None) -> None:
    line = verdict.to_json() + "\n"
    sys.stdout.write(line)
    sys.stdout.flush()
    if report is not None:
        with report.open("a", encoding="utf-8") as file:
            file.write(line)


def _table(console: Console, verdicts: list[Verdict]) -> None:
    table = Table(title="Chaos", title_justify="left")
    for name in ("scenario", "seed", "s", "sent", "events", "result", "reason"):
        table.add_column(name, justify="right" if name in ("seed", "s", "sent") else "left")
    for v in verdicts:
        result = f"[{_STYLE[v.result]}]{v.result}[/]"
        row = (v.scenario, v.seed, v.seconds, v.sent, v.events)
        table.add_row(*map(str, row), result, escape(v.reason[:200]))
    console.print(table)
    for v in verdicts:
        if not v.good:
            console.print(f"repeat {v.scenario}: {v.repeat}", highlight=False)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--long", action="store_true", help="three brokers, min.insync.replicas 2, longer"
    )
    parser.add_argument(
        "--scenario", action="append", choices=[s.name for s in ALL], metavar="NAME",
        help="only this one; repeatable",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, help="of every scenario; default: by chance, printed")
    parser.add_argument("--report", type=Path, help="append the verdicts to this file, too")
    parser.add_argument("--logs", type=Path, help="folder for the logs of scenarios gone bad")
    parser.add_argument(
        "--jobs", type=int, help="scenarios at a time, each on brokers of its own; default: 2"
        " for all in the short mode, else 1",
    )  # fmt: skip
    parser.add_argument("--list", action="store_true", help="name the scenarios and end")
    parser.add_argument(
        "--minutes", type=float, help="none begins after so many; default: 9 for all, --long: any"
    )
    options = parser.parse_args()
    short = not options.long and not options.scenario
    if options.minutes is None and short:
        options.minutes = _MINUTES
    if options.jobs is None:
        options.jobs = 2 if short else 1
    return options


if __name__ == "__main__":
    sys.exit(main())
