"""Errors that a user can cause and fix. The library raises them; command line and server print them in one line."""


class ManyfillError(Exception):
    """Root of all errors that a user can do something about; its text says what to do."""


class BadImage(ManyfillError):
    """The photo cannot be used (unreadable, truncated, animated, empty, of an unknown type) or not held by a format."""


class CannotRead(ManyfillError):
    """A file of ours cannot be read: no right to, not a regular file, a damaged disk."""


class CannotWrite(ManyfillError):
    """A file cannot be written there: no such folder, a folder in its place, no right to write, a full disk."""


class Busy(ManyfillError):
    """Another process is at work on the same folder."""


class BadMask(ManyfillError):
    """The mask cannot be used with this photo: other size, no polarity, or a photo handed in by mistake."""


class UnknownModel(ManyfillError):
    """No model of that name is installed and no weights file lies at that path."""


class BadWeights(ManyfillError):
    """A weights file is damaged, of another network, or misses, repeats or misshapes a tensor."""


class TooLarge(ManyfillError):
    """The photo or the request is over a stated limit (pixels, memory, number of fills).

    `needed`: bytes that the process would have to hold, where that is what is too much.
    """

    needed: float | None = None


class MissingExtra(ManyfillError, ImportError):
    """A library that one of the package's extras installs is not there."""
