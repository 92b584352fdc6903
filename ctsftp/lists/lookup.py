"""Looking into the bytes of a part without making a bitmap of them: some microseconds, and no memory.

The bytes are those of the portable format (github.com/RoaringBitmap/RoaringFormatSpec, "Extension for 64-bit"):

    count of buckets                        8 bytes
    for each bucket: id >> 32               4 bytes, then a 32-bit bitmap:
      cookie, count of containers           4 + 4 bytes
      key, cardinality - 1 of each          2 + 2 bytes a container
      offset of each, from the cookie       4 bytes a container
      containers                            16-bit numbers up to 4,096 of them, else 65,536 bits
"""

import struct

import numpy as np

from ctsftp.errors import DamagedListError

COOKIE = 12346  # no runs: nothing here makes any
MAX_IN_ARRAY = 4_096
BITSET_BYTES = 8_192


def holds(blob: bytes, ct_user_id: int) -> bool:
    """Tell whether an id is in a part; the bytes must have been checked (`read_part`, `digest_of`)."""
    try:
        (buckets,) = struct.unpack_from("<Q", blob)
        at = 8
        for _ in range(buckets):
            key, cookie, count = struct.unpack_from("<III", blob, at)
            if cookie != COOKIE:
                raise DamagedListError("The part of a list is damaged: it is no Roaring bitmap without runs.")
            heads = np.frombuffer(blob, "<u2", 2 * count, at + 12)
            cardinalities = heads[1::2].astype(np.int64) + 1
            if key == ct_user_id >> 32:
                return _holds(blob, at + 4, heads[::2], cardinalities, ct_user_id & 0xFFFFFFFF)
            sizes = np.where(cardinalities > MAX_IN_ARRAY, BITSET_BYTES, 2 * cardinalities)
            at += 12 + 8 * count + int(sizes.sum())
    except (struct.error, ValueError) as error:
        raise DamagedListError("The part of a list is damaged: it is cut.") from error
    return False


def _holds(blob: bytes, start: int, keys: np.ndarray, cardinalities: np.ndarray, low: int) -> bool:
    """Look into the 32-bit bitmap whose cookie stands at `start`."""
    place = int(np.searchsorted(keys, low >> 16))
    if place == len(keys) or keys[place] != low >> 16:
        return False
    (offset,) = struct.unpack_from("<I", blob, start + 8 + 4 * len(keys) + 4 * place)
    rest = low & 0xFFFF
    if cardinalities[place] > MAX_IN_ARRAY:
        return bool(blob[start + offset + (rest >> 3)] >> (rest & 7) & 1)
    found = np.frombuffer(blob, "<u2", int(cardinalities[place]), start + offset)
    at = int(np.searchsorted(found, rest))
    return at < len(found) and bool(found[at] == rest)
