"""The public messages and topics of the Partsemble sales sync.

One module per owning context holds its message models; `topics` holds what is known about each
topic; `registry` says which message types a topic carries and reads a record's bytes into a model.
"""
