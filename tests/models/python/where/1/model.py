"""Says where its input lies: the mapping's file, how that is mapped, and whether the array may be written or is a copy."""


def infer(x: "u8[-1]") -> "bytes[4]":
    at = x.__array_interface__["data"][0]
    name, mode = mapping(at, at + x.nbytes)
    return [name, mode, str(x.flags.writeable), str(x.flags.owndata)]


def mapping(begin, end):
    """(file, mode) of the one that all of it lies in."""
    with open("/proc/self/maps") as f:
        for line in f:
            places, mode, _, _, _, *name = line.split(None, 5)
            first, last = (int(place, 16) for place in places.split("-"))
            if first <= begin and end <= last:
                return "".join(name).strip(), mode
    return "", ""
