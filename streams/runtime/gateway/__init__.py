"""The gateway's inside: from a door's calls to Kafka and back, and the process that serves doors.

Lives here: the exchange on Kafka (`exchange`), replies by call (`replies`), looking back into the
log (`recall`), the HTTP server's guards (`protocol`) and the process (`process`). Must not live
here: anything of one door (`connectors/<system>`).
"""
