"""What goes wrong with a release store: raised by folders and by S3 alike."""


class ReleaseStoreError(Exception):
    """A release store cannot be read or written; the message says which and why."""
