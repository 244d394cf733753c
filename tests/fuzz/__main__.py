"""The long mode: `python -m tests.fuzz --count 1000000 --seed 1 --workers 2`.

Ends with status 1 where anything was found; each finding comes with the command that repeats it.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path

from tests.fuzz.corpus import Corpus, load
from tests.fuzz.judge import Edge
from tests.fuzz.run import Report, case, run, spread

TELL_EVERY_S = 30.0


def main() -> int:
    """Run what the command line says and print the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="how many messages")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same messages")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument(
        "--corpus", type=Path, action="append", default=[], help="folder of more XML to cut from"
    )
    parser.add_argument("--only", type=int, help="one message, judged in this process")
    parser.add_argument("--write", type=Path, help="with --only: where its bytes go")
    options = parser.parse_args()
    for folder in options.corpus:
        if not folder.is_dir():
            parser.error(f"--corpus {folder}: no such folder")
    if min(options.count, options.workers) < 1:
        parser.error("--count and --workers begin at 1")
    corpus = load(options.corpus)
    if options.only is not None:
        return _one(options.seed, options.only, corpus, options.write)
    began = told = time.monotonic()
    report = Report()
    for news in spread(options.seed, options.count, options.workers, corpus):
        if isinstance(news, Report):
            report = news
        elif time.monotonic() - told > TELL_EVERY_S:
            told = time.monotonic()
            print(f"{news:,} of {options.count:,}", flush=True)
    folders = "".join(f" --corpus {shlex.quote(str(folder))}" for folder in options.corpus)
    _print(report, time.monotonic() - began, f"--seed {options.seed}{folders}")
    return 1 if report.findings else 0


def _one(seed: int, number: int, corpus: Corpus, target: Path | None) -> int:
    drawn = case(seed, number, corpus)
    if target is not None:
        target.write_bytes(drawn.data)
    print(f"{len(drawn.data)} bytes on {drawn.interface}, {'' if drawn.seen else 'not '}seen")
    print(Edge(corpus).judge(drawn.data, drawn.interface, seen=drawn.seen))
    report = run(seed, [number], corpus)
    print(f"{report.slowest[0]:.3f} s of CPU time")
    return 0


def _print(report: Report, seconds: float, options: str) -> None:
    print(f"{report.count:,} messages in {seconds:.0f} s, {options}")
    for name, count in (*report.outcomes.most_common(), *report.codes.most_common()):
        print(f"  {count:>10,}  {name}")
    took, number = report.slowest
    print(f"slowest: {took:.3f} s of CPU time (number {number})")
    print(f"memory after the warm-up: {report.growth_bytes / 2**20:+.1f} MiB in the worst worker")
    print(f"findings: {len(report.findings)}")
    for finding in report.findings:
        print(f"\n{finding.kind}\n{finding.detail.rstrip()}")
        if finding.number >= 0:
            print(f"again: python -m tests.fuzz {options} --only {finding.number}")


if __name__ == "__main__":
    sys.exit(main())
