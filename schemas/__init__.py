"""What a message means: envelope, identity, profiles, canonical records.

Lives here: everything that can be said about a message from its bytes alone. Must not
live here: Kafka, files, settings, clocks, knowledge of which interface accepts what
(see `topics`). Invariant: same bytes in, same answer out.
"""
