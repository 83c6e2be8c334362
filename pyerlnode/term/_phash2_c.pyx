# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, nonecheck=False
"""The compiled `phash2`: twin of `phash2.py`, which is its specification and whose step each function here is named for.

It hashes what terms are mostly made of: atoms, integers of 64 bits, floats, binaries, text, tuples, lists, maps, pids,
ports and references. A term that holds anything else, or is nested more deeply than `LEVELS`, is left whole to the
pure one, which `use` has given: so what is rare is decided in one place, and the C stack is bounded.
"""

from cpython.dict cimport PyDict_GetItem, PyDict_Next
from cpython.float cimport PyFloat_AS_DOUBLE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from pyerlnode.term.atom import Atom
from pyerlnode.term.containers import FrozenList, FrozenMap
from pyerlnode.term.pid import Pid, Port, Reference

cdef extern from "Python.h":
    long long long_of "PyLong_AsLongLongAndOverflow"(object, int*) except? -1
    const char* utf8_of "PyUnicode_AsUTF8AndSize"(object, Py_ssize_t*) except NULL
    char* bytes_text "PyBytes_AS_STRING"(object) noexcept
    Py_ssize_t bytes_size "PyBytes_GET_SIZE"(object) noexcept

cdef extern from *:
    """
    static inline uint32_t part(const unsigned char *p, Py_ssize_t n) {
        uint32_t value = 0;
        while (n > 0) value = value << 8 | p[--n];
        return value;
    }
    """
    uint32_t part(const unsigned char*, Py_ssize_t) noexcept

cdef enum:
    LEVELS = 200

cdef uint32_t H0 = 0x9E3779B9
cdef uint32_t NIL_ALONE = 3468870702
cdef object DEFAULT_RANGE = 1 << 27
cdef object slow = None
cdef dict atoms = {}


def use(pure):
    """Let `pure` hash what this one does not."""
    global slow
    slow = pure


cdef class Unknown(Exception):
    """Raised on the way out of a term that is left to the pure one; never seen outside."""



cdef inline uint32_t k(uint32_t n) noexcept:
    return H0 * n


cdef inline void mix(uint32_t* a, uint32_t* b, uint32_t* c) noexcept:
    a[0] = (a[0] - b[0] - c[0]) ^ (c[0] >> 13)
    b[0] = (b[0] - c[0] - a[0]) ^ (a[0] << 8)
    c[0] = (c[0] - a[0] - b[0]) ^ (b[0] >> 13)
    a[0] = (a[0] - b[0] - c[0]) ^ (c[0] >> 12)
    b[0] = (b[0] - c[0] - a[0]) ^ (a[0] << 16)
    c[0] = (c[0] - a[0] - b[0]) ^ (b[0] >> 5)
    a[0] = (a[0] - b[0] - c[0]) ^ (c[0] >> 3)
    b[0] = (b[0] - c[0] - a[0]) ^ (a[0] << 10)
    c[0] = (c[0] - a[0] - b[0]) ^ (b[0] >> 15)


cdef inline uint32_t two(uint32_t hash_, uint32_t x, uint32_t y, uint32_t constant) noexcept:
    cdef uint32_t a = constant + x, b = constant + y, c = hash_
    mix(&a, &b, &c)
    return c


cdef uint32_t block(const unsigned char* p, Py_ssize_t size, uint32_t c) noexcept:
    cdef uint32_t a = H0, b = H0
    cdef Py_ssize_t left = size
    while left >= 12:
        a += part(p, 4)
        b += part(p + 4, 4)
        c += part(p + 8, 4)
        mix(&a, &b, &c)
        p += 12
        left -= 12
    a += part(p, min(left, 4))
    if left > 4:
        b += part(p + 4, min(left - 4, 4))
    c += <uint32_t>size
    if left > 8:
        c += part(p + 8, left - 8) << 8
    mix(&a, &b, &c)
    return c


cdef uint32_t bytes_(const unsigned char* p, Py_ssize_t size, uint32_t hash_) noexcept:
    cdef uint32_t c = k(13) + hash_
    return block(p, size, c) if size else c


cdef uint32_t new_atom(object atom) except? 0:
    cdef uint32_t value = 0, high
    cdef bytes text = atom.utf8
    cdef const unsigned char* p = <const unsigned char*>bytes_text(text)
    cdef Py_ssize_t at = 0, size = bytes_size(text)
    cdef uint32_t byte
    while at < size:
        byte = p[at]
        if byte == 0xC2 or byte == 0xC3:  # a character of latin-1 counts as one byte; UTF-8 goes on behind it
            at += 1
            byte = (byte & 3) << 6 | (p[at] & 0x3F)
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = value ^ (high >> 24) ^ high
        at += 1
    atoms[atom] = value
    return value


cdef uint32_t VALUE_TRUE = new_atom(Atom("true")), VALUE_FALSE = new_atom(Atom("false")), VALUE_NIL = new_atom(Atom("nil"))


cdef inline uint32_t atom_(uint32_t value, uint32_t hash_) noexcept:
    return two(hash_, value, 0, k(3)) if hash_ else value


cdef inline uint32_t nil_(uint32_t hash_) noexcept:
    return two(hash_, 2, 0, k(2)) if hash_ else NIL_ALONE


cdef uint32_t integer(object term, uint32_t hash_) except? 0:
    cdef int overflow = 0
    cdef int64_t value = long_of(term, &overflow)
    cdef uint64_t number
    if overflow:
        raise Unknown
    if -(1 << 27) <= value < 1 << 27:
        if value < 0:
            hash_ = two(hash_, <uint32_t>-value, 0, H0)
        return two(hash_, <uint32_t>value, 0, H0)
    number = -<uint64_t>value if value < 0 else <uint64_t>value
    return two(hash_, <uint32_t>number, <uint32_t>(number >> 32), k(10) if value < 0 else k(11))


cdef uint32_t float_(object term, uint32_t hash_) noexcept:
    cdef double value = PyFloat_AS_DOUBLE(term) + 0.0
    cdef uint64_t bits
    memcpy(&bits, &value, 8)
    return two(hash_, <uint32_t>(bits >> 32), <uint32_t>bits, k(12))


cdef uint32_t list_(list items, uint32_t hash_, int level) except? 0:
    """Bytes four to a step, until another element comes."""
    cdef Py_ssize_t at = 0, size = PyList_GET_SIZE(items)
    cdef uint32_t packed = 0
    cdef int count = 0, overflow = 0
    cdef object item
    cdef int64_t value
    while at < size:
        item = <object>PyList_GET_ITEM(items, at)
        at += 1
        if type(item) is int:
            value = long_of(item, &overflow)
            if not overflow and 0 <= value <= 255:
                packed = packed << 8 | <uint32_t>value
                count += 1
                if count == 4:
                    hash_ = two(hash_, packed, 0, k(4))
                    packed = 0
                    count = 0
                continue
        if count:
            hash_ = two(hash_, packed, 0, k(4))
            packed = 0
            count = 0
        hash_ = any_(item, hash_, level)
    if count:
        hash_ = two(hash_, packed, 0, k(4))
    return nil_(hash_)


cdef uint32_t map_(dict pairs, uint32_t hash_, int level) except? 0:
    cdef uint32_t joined = 0
    cdef Py_ssize_t at = 0
    cdef PyObject* key
    cdef PyObject* value
    hash_ = two(hash_, <uint32_t>len(pairs), 0, k(16))
    if not pairs:
        return hash_
    while PyDict_Next(pairs, &at, &key, &value):
        joined ^= any_(<object>value, any_(<object>key, 0, level), level)
    return two(hash_, joined, 0, k(19))


cdef uint32_t any_(object term, uint32_t hash_, int level) except? 0:
    cdef object kind = type(term)
    cdef PyObject* known
    cdef Py_ssize_t at, size
    cdef const char* text
    if kind is Atom:
        known = PyDict_GetItem(atoms, term)
        return atom_(<uint32_t><object>known if known != NULL else new_atom(term), hash_)
    if kind is int:
        return integer(term, hash_)
    if kind is bytes:
        return bytes_(<const unsigned char*>bytes_text(term), bytes_size(term), hash_)
    if level > LEVELS:
        raise Unknown
    if kind is tuple:
        size = PyTuple_GET_SIZE(term)
        hash_ = two(hash_, <uint32_t>size, 0, k(9))
        for at in range(size):
            hash_ = any_(<object>PyTuple_GET_ITEM(term, at), hash_, level + 1)
        return hash_
    if kind is list or kind is FrozenList:
        return list_(term, hash_, level + 1)
    if kind is str:
        text = utf8_of(term, &size)
        return bytes_(<const unsigned char*>text, size, hash_)
    if kind is float:
        return float_(term, hash_)
    if kind is dict or kind is FrozenMap:
        return map_(term, hash_, level + 1)
    if term is None:
        return atom_(VALUE_NIL, hash_)
    if kind is bool:
        return atom_(VALUE_TRUE if term is True else VALUE_FALSE, hash_)
    if kind is Pid:
        return two(hash_, <uint32_t>term.id, 0, k(5))
    if kind is Reference and type(term.words) is tuple and term.words:
        return two(hash_, <uint32_t>(<tuple>term.words)[0], 0, k(7))
    if kind is Port:
        return two(hash_, <uint32_t>(<uint64_t>term.id), <uint32_t>(<uint64_t>term.id >> 32), k(6))
    raise Unknown


def phash2(term, range=DEFAULT_RANGE):
    """`erlang:phash2(Term, Range)`: a number of 0..range-1, the same on every node and release.

    Raises `UsageError` for a range that is not 1..2**32, `EncodeError` for what is no term or can not be hashed.
    """
    cdef uint32_t value
    cdef uint64_t most = 1 << 27
    try:
        if range is not DEFAULT_RANGE:
            most = range
            if not 1 <= most <= 1ULL << 32:
                raise Unknown
        value = any_(term, 0, 0)
    except Exception:  # whatever it was: the pure one does it, or says what is wrong
        return slow(term, range)
    return value % most
