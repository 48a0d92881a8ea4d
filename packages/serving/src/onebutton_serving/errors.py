"""What goes wrong with a place: raised by folders and by S3 alike."""


class PlaceError(Exception):
    """A place cannot be read or written; the message says which and why."""
