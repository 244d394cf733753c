"""REST: CIM XML messages over HTTP, with replies.

Lives here: the HTTP side of the gateway. Must not live here: Kafka, waiting for replies, who may
send what (`connectors.exchange`, `connectors.access`).
"""
