"""An SFTP server that lists what no server should: names that lead out of a folder, and a link where a folder follows.

Everything is a folder, a file with the content `evil`, or a link, by what the listing says.
"""
import struct
import sys

FOLDER, FILE, LINK = 0o040755, 0o100644, 0o120777
EVIL = b"evil"

LISTING = [
    (b".", FOLDER), (b"..", FOLDER),
    (b"../escaped", FILE), (b"/tmp/clusterops-escaped", FILE), (b"", FILE), (b"a/../../escaped", FILE),
    (b"nul\0", FILE), (b"../escaped folder", FOLDER), (b"..", LINK),
    (b"good", FILE), (b"absolute", LINK), (b"up", LINK), (b"sub", FOLDER),
]
TWICE = [(b"sub", LINK), (b"sub", FOLDER)]
TARGETS = {b"absolute": b"/etc", b"up": b"../..", b"sub": b"."}


def string(data):
    return struct.pack(">I", len(data)) + data


def attributes(mode):
    return struct.pack(">IQI", 1 | 4, len(EVIL), mode)


def send(kind, body):
    sys.stdout.buffer.write(struct.pack(">IB", len(body) + 1, kind) + body)
    sys.stdout.buffer.flush()


def read_string(data):
    length = struct.unpack(">I", data[:4])[0]
    return data[4:4 + length], data[4 + length:]


def main():
    modes = {name: mode for name, mode in LISTING}
    listed = set()
    while True:
        head = sys.stdin.buffer.read(5)
        if len(head) < 5:
            return
        length, kind = struct.unpack(">IB", head)
        body = sys.stdin.buffer.read(length - 1)
        if kind == 1:
            send(2, struct.pack(">I", 3))
            continue
        ident, rest = body[:4], body[4:]
        path, rest = read_string(rest)
        name = path.rsplit(b"/", 1)[-1]
        if kind in (7, 8, 17):  # LSTAT, FSTAT, STAT
            send(105, ident + attributes(FOLDER if path in (b"/tree", b"/twice") else modes.get(name, FILE)))
        elif kind in (3, 11):  # OPEN, OPENDIR
            send(102, ident + string(path))
        elif kind == 12 and path not in listed:  # READDIR
            listed.add(path)
            entries = {b"/tree": LISTING, b"/twice": TWICE}.get(path, [(b"inner", FILE)])
            names = b"".join(string(n) + string(b"") + attributes(m) for n, m in entries)
            send(104, ident + struct.pack(">I", len(entries)) + names)
        elif kind == 19:  # READLINK
            send(104, ident + struct.pack(">I", 1) + string(TARGETS.get(name, b"..")) + string(b"") + attributes(LINK))
        elif kind == 5 and struct.unpack(">Q", rest[:8])[0] == 0:  # READ
            send(103, ident + string(EVIL))
        elif kind in (5, 12):
            send(101, ident + struct.pack(">I", 1) + string(b"end") + string(b""))
        else:
            send(101, ident + struct.pack(">I", 0) + string(b"") + string(b""))


main()
