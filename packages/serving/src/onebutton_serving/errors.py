"""What a person can mend of a server and of what it serves: told in one line, never with a traceback.

The standard library alone: rolling back at night must not wait for imports.
"""


class ServingError(Exception):
    """Something that a person can mend; the message says what, and where."""


class ReleaseStoreError(ServingError):
    """A release store cannot be read or written; the message says which and why. Raised by folders and by S3 alike."""
