"""What goes wrong with pictures."""


class ImageError(ValueError):
    """This is not a picture that can be shown; the message says what came, what was wanted and what to do."""
