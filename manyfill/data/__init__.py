"""Photos of a folder or of tar shards as endless training samples: (image, hole), item i from (seed, i) alone.

finding   open_photos: the photos of folders, tar shards and single files
photoset  PhotoSet: each decoded at most once into RAM
samples   Samples: cut, turned and lit, with a hole drawn on each

No sample depends on the order in which samples are asked for, on the number of workers, or on what is in the cache.
"""

from manyfill.data.finding import open_photos
from manyfill.data.photoset import PhotoSet
from manyfill.data.samples import NO_AUGMENTATION, Augmentation, Samples

__all__ = ["NO_AUGMENTATION", "Augmentation", "PhotoSet", "Samples", "open_photos"]
