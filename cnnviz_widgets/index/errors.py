"""What goes wrong with an index."""


class IndexRefused(ValueError):
    """This index belongs to another network or gallery, or to a newer version; it is left as it is."""


class IndexIncomplete(ValueError):
    """This index was begun and not finished; the message says how far it is and how to go on."""


class IndexDamaged(ValueError):
    """A file of the index is missing or broken; the message names it and says how to mend that."""
