"""Manyfill in Krita: the selection, filled in several different ways, each on a layer of its own."""

try:
    import krita
except ImportError:  # outside Krita only `client` and `pixels` work
    krita = None

if krita is not None:
    from .extension import Manyfill

    krita.Krita.instance().addExtension(Manyfill(krita.Krita.instance()))
