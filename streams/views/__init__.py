"""Views: what the logs say, in a database that can be asked.

`model` says what is kept of a record, `store` what a database must do for it, `follow` keeps
it up with the logs, `query` answers from it.
"""
