"""The pipeline: engine, processors, runtime and command line.

Lives here: everything that runs. Must not live here: what a message means (`schemas`), the
interfaces (`topics`), protocols of other systems (`connectors`).

Invariant: `streams.engine` imports none of our other packages; nothing imports `streams.cli`.
"""
