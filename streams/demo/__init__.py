"""The demonstration: a stream of messages whose outcome is known, and its reconciliation.

Lives here: `messages` builds them, `scenario` says what each must lead to, `reconcile`
compares that with what is in Kafka. It uses the product as its users do and reaches into
nothing.
"""
