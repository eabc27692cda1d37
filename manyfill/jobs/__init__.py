"""Photos on disk to fills on disk: one photo, a folder that can be interrupted, either of them again from a sidecar.

`records` says what came of a photo, `photo` completes one, `gallery` draws its pictures for people, `pairing` finds
photos and their masks, `folder` goes through many and `manifest` remembers which are done.
"""
