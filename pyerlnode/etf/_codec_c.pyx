# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, nonecheck=False
"""The compiled codec: twin of `_codec_py`, which is its specification. Same names, same values, same errors.

What makes it fast is one pass over memory: the decoder reads the caller's buffer through a pointer and builds
containers at their final size; the encoder writes into one growing bytes object. What makes it safe:

- every read compares what it needs with the bytes that are left, before it reads;
- a container is allocated only when the bytes that are left can hold all parts that are owed, to it and to the
  containers around it, so the memory in use is bounded by the bytes that were received;
- nesting is kept in frames on the heap, never on the C stack;
- whatever is rare (closures, unusual keys and types, compressed terms) goes through `common`, where both twins meet.

This file is the ground; the decoder (`_decode_c*.pxi`), the encoder (`_encode_c*.pxi`) and whole packets
(`_packets_c.pxi`) are included. Objects of the classes in `pyerlnode.term` are made and read through their slots,
whose offsets are asked once, on loading.
"""

from cpython.object cimport PyObject, PyTypeObject
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.buffer cimport PyObject_GetBuffer, PyBuffer_Release, PyBUF_SIMPLE
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

import struct as _struct
from itertools import chain as _chain

from pyerlnode.errors import DecodeError, EncodeError, LimitExceeded
from pyerlnode.etf.common import (
    BIG_BINARY as _BIG_BINARY,
    CONTAINER as _CONTAINER,
    ELIXIR as _ELIXIR,
    ERLANG as _ERLANG,
    KEYED as _KEYED,
    MAX_ARITY as _MAX_ARITY,
    MAX_DEPTH as _MAX_DEPTH,
    MAX_ENCODED as _MAX_ENCODED,
    MOST_ROUNDS as _MOST_ROUNDS,
    NO_ATOMS as _NO_ATOMS,
    NO_MEMORY as _NO_MEMORY,
    NONE_WIRE as _NONE_WIRE,
    ONLY_STR as _ONLY_STR,
    PART as _PART,
    PLAIN_KEYS as _PLAIN_KEYS,
    STRUCT_KEY as _STRUCT_KEY,
    AtomBudget as _AtomBudget,
    Changed as _Changed,
    Refused as _Refused,
    SameKey as _SameKey,
    TooDeep as _TooDeep,
    TooLarge as _TooLarge,
    as_atom as _as_atom,
    as_encode_error as _as_encode_error,
    LARGE as _LARGE_INTEGER,
    MANY as _MANY,
    build_map as _build_map,
    build_struct as _build_struct,
    deflate as _deflate,
    float_from_text as _float_from_text,
    inflate as _inflate,
    named_atom as _named_atom,
    simplify as _simplify,
    too_large as _too_large,
)
from pyerlnode.etf.locate import told as _told
from pyerlnode.limits import DEFAULT_LIMITS
from pyerlnode.term.atom import Atom
from pyerlnode.term.containers import (
    Bitstring,
    Charlist,
    FrozenList,
    FrozenMap,
    ImproperList,
    NativeRecord,
    Struct,
    TermMap,
)
from pyerlnode.term.fun import ExternalFun, Fun
from pyerlnode.term.pid import Pid, Port, Reference

__all__ = [
    "PacketReader",
    "PacketWriter",
    "decode",
    "decode_packet",
    "decode_prefix",
    "decode_term",
    "encode",
    "encode_buffers",
    "encode_packet",
    "encode_term",
    "encode_term_buffers",
]

cdef extern from *:
    """
    #include <structmember.h>
    #include <math.h>
    #include <stdlib.h>

    #if defined(__linux__)
    #include <sys/mman.h>
    #endif

    /* Bytes that are filled at once. Large ones ask for large pages: to touch so many small ones for the first time
       takes longer than to copy them. */
    static PyObject *filled_bytes(const unsigned char *data, Py_ssize_t size) {
        PyObject *made;
        if (size < 4 << 20) return PyBytes_FromStringAndSize((const char *)data, size);
        made = PyBytes_FromStringAndSize(NULL, size);
        if (made == NULL) return NULL;
    #ifdef MADV_HUGEPAGE
        {
            uintptr_t page = 2 << 20, from = (uintptr_t)PyBytes_AS_STRING(made);
            uintptr_t begin = (from + page - 1) & ~(page - 1), end = (from + size) & ~(page - 1);
            if (end > begin) madvise((void *)begin, end - begin, MADV_HUGEPAGE);  /* advice: it may fail */
        }
    #endif
        memcpy(PyBytes_AS_STRING(made), data, size);
        return made;
    }

    static inline uint16_t load16(const unsigned char *p) { return (uint16_t)(p[0] << 8 | p[1]); }
    static inline uint32_t load32(const unsigned char *p) {
        return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    }
    static inline uint64_t load64(const unsigned char *p) { return (uint64_t)load32(p) << 32 | load32(p + 4); }
    static inline void store16(unsigned char *p, uint16_t v) { p[0] = (unsigned char)(v >> 8); p[1] = (unsigned char)v; }
    static inline void store32(unsigned char *p, uint32_t v) {
        p[0] = (unsigned char)(v >> 24); p[1] = (unsigned char)(v >> 16);
        p[2] = (unsigned char)(v >> 8); p[3] = (unsigned char)v;
    }
    static inline void store64(unsigned char *p, uint64_t v) { store32(p, (uint32_t)(v >> 32)); store32(p + 4, (uint32_t)v); }
    static inline double load_double(const unsigned char *p) {
        uint64_t bits = load64(p); double value; memcpy(&value, &bits, 8); return value;
    }
    static inline void store_double(unsigned char *p, double value) {
        uint64_t bits; memcpy(&bits, &value, 8); store64(p, bits);
    }

    /* Where the key of a map was written: in the buffer, or in a piece that has been handed out. */
    typedef struct {
        Py_ssize_t piece;
        Py_ssize_t offset;
        Py_ssize_t size;
        const unsigned char *data;
    } Span;

    static int compare_spans(const void *one, const void *other) {
        const Span *a = (const Span *)one, *b = (const Span *)other;
        if (a->size != b->size) return a->size < b->size ? -1 : 1;
        return memcmp(a->data, b->data, a->size);
    }

    /* Whether two of them hold the same bytes. Only those of one size are read: of keys within keys they are at most
       half of what is around them, so each byte is read some twenty times however deep it stands. */
    static int has_twins(Span *spans, Py_ssize_t count) {
        Py_ssize_t i;
        if (count > 1) qsort(spans, count, sizeof(Span), compare_spans);
        for (i = 1; i < count; i++)
            if (compare_spans(spans + i - 1, spans + i) == 0) return 1;
        return 0;
    }

    /* Slots of the classes in pyerlnode.term. */
    static inline PyObject *get_slot(PyObject *o, Py_ssize_t offset) { return *(PyObject **)((char *)o + offset); }
    static inline void set_slot(PyObject *o, Py_ssize_t offset, PyObject *stolen) {
        *(PyObject **)((char *)o + offset) = stolen;
    }
    static inline PyObject *new_object(PyObject *type) { return ((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, 0); }
    static Py_ssize_t member_offset(PyObject *descriptor) {
        if (Py_TYPE(descriptor) != &PyMemberDescr_Type) return -1;
        return ((PyMemberDescrObject *)descriptor)->d_member->offset;
    }
    static inline PyObject *type_of(PyObject *o) { return (PyObject *)Py_TYPE(o); }

    /* Every atom that was decoded, by its UTF-8 text. Open addressing; entries are never removed, as atoms are not.
       The seed is Python's own hash seed, so that a peer can not choose atoms that collide. */
    typedef struct {
        uint64_t hash;
        const unsigned char *text;
        Py_ssize_t size;
        PyObject *atom;   /* the Atom: what names are */
        PyObject *value;  /* what it decodes to in the "elixir" profile */
    } Entry;

    static Entry *atom_table = NULL;
    static size_t atom_mask = 0, atom_count = 0;
    static uint64_t atom_seed = 0;
    #define MIX 0x9E3779B97F4A7C15ULL

    static inline uint64_t hash_text(const unsigned char *p, Py_ssize_t n) {
        uint64_t h = atom_seed ^ ((uint64_t)n * MIX), word = 0;
        while (n > 8) {
            memcpy(&word, p, 8);
            h = (h ^ word) * MIX;
            h ^= h >> 29;
            p += 8;
            n -= 8;
        }
        if (n >= 4) word = (uint64_t)load32(p) << 32 | load32(p + n - 4);
        else if (n > 0) word = (uint64_t)p[0] << 16 | (uint64_t)p[n >> 1] << 8 | p[n - 1];
        else word = 0;
        h = (h ^ word) * MIX;
        return h ^ h >> 32;
    }

    /* Texts of one size that have one hash. Up to 8 bytes the hash can be undone, so they are the same. */
    static inline int same_text(const unsigned char *one, const unsigned char *other, Py_ssize_t size) {
        if (size <= 8) return 1;
        if (size <= 16)
            return memcmp(one, other, 8) == 0 && memcmp(one + size - 8, other + size - 8, 8) == 0;
        return memcmp(one, other, size) == 0;
    }

    static inline Entry *find_atom(const unsigned char *text, Py_ssize_t size) {
        uint64_t hash = hash_text(text, size);
        size_t i = hash & atom_mask;
        for (; atom_table[i].atom != NULL; i = (i + 1) & atom_mask)
            if (atom_table[i].hash == hash && atom_table[i].size == size && same_text(atom_table[i].text, text, size))
                return &atom_table[i];
        return NULL;
    }

    static int resize_atoms(size_t slots) {
        Entry *old = atom_table, *made = (Entry *)PyMem_Calloc(slots, sizeof(Entry));
        size_t i, j, before = old == NULL ? 0 : atom_mask + 1;
        if (made == NULL) { PyErr_NoMemory(); return -1; }
        for (i = 0; i < before; i++) {
            if (old[i].atom == NULL) continue;
            for (j = old[i].hash & (slots - 1); made[j].atom != NULL; j = (j + 1) & (slots - 1)) {}
            made[j] = old[i];
        }
        atom_table = made;
        atom_mask = slots - 1;
        PyMem_Free(old);
        return 0;
    }

    static Entry *add_atom(PyObject *atom, PyObject *value, PyObject *utf8) {
        Entry *entry;
        size_t i;
        uint64_t hash;
        const unsigned char *text = (const unsigned char *)PyBytes_AS_STRING(utf8);
        Py_ssize_t size = PyBytes_GET_SIZE(utf8);
        if (2 * (atom_count + 1) > atom_mask + 1 && resize_atoms(2 * (atom_mask + 1)) < 0) return NULL;
        entry = find_atom(text, size);
        if (entry != NULL) return entry;
        hash = hash_text(text, size);
        for (i = hash & atom_mask; atom_table[i].atom != NULL; i = (i + 1) & atom_mask) {}
        Py_INCREF(atom);
        Py_INCREF(value);
        Py_INCREF(utf8);
        entry = &atom_table[i];
        entry->hash = hash; entry->text = text; entry->size = size; entry->atom = atom; entry->value = value;
        atom_count++;
        return entry;
    }

    /* Where an atom stands in the cache of atoms that were sent to a peer: atoms are never moved or freed. */
    static inline unsigned int cache_slot(PyObject *atom) { return (unsigned int)(((uint64_t)(size_t)atom >> 4) * MIX >> 53); }

    static int start_atoms(uint64_t seed) {
        atom_seed = seed;
        return resize_atoms(1024);
    }
    """
    ctypedef struct Span:
        Py_ssize_t piece
        Py_ssize_t offset
        Py_ssize_t size
        const unsigned char* data
    bint has_twins(Span*, Py_ssize_t) noexcept
    ctypedef struct Entry:
        PyObject* atom
        PyObject* value
    PyObject* filled_bytes(const unsigned char*, Py_ssize_t) except NULL
    uint16_t load16(const unsigned char*) noexcept
    uint32_t load32(const unsigned char*) noexcept
    uint64_t load64(const unsigned char*) noexcept
    double load_double(const unsigned char*) noexcept
    void store16(unsigned char*, uint16_t) noexcept
    void store32(unsigned char*, uint32_t) noexcept
    void store64(unsigned char*, uint64_t) noexcept
    void store_double(unsigned char*, double) noexcept
    bint isfinite(double) noexcept
    PyObject* get_slot(PyObject*, Py_ssize_t) noexcept
    void set_slot(PyObject*, Py_ssize_t, PyObject*) noexcept
    PyObject* new_object(PyObject*) except NULL
    Py_ssize_t member_offset(PyObject*) noexcept
    PyObject* type_of(PyObject*) noexcept
    Entry* find_atom(const unsigned char*, Py_ssize_t) noexcept
    Entry* add_atom(PyObject*, PyObject*, PyObject*) except NULL
    unsigned int cache_slot(PyObject*) noexcept
    int start_atoms(uint64_t) except -1


cdef extern from "Python.h":
    ctypedef struct PyLongObject
    void incref "Py_INCREF"(PyObject*) noexcept
    void decref "Py_DECREF"(PyObject*) noexcept
    void xdecref "Py_XDECREF"(PyObject*) noexcept
    Py_ssize_t refcnt "Py_REFCNT"(PyObject*) noexcept
    PyObject* py_none "Py_None"
    PyObject* py_true "Py_True"
    PyObject* py_false "Py_False"
    PyTypeObject PyLong_Type, PyBytes_Type, PyUnicode_Type, PyFloat_Type, PyBool_Type
    PyTypeObject PyTuple_Type, PyList_Type, PyDict_Type, PyMemoryView_Type, PyByteArray_Type
    PyObject* new_long "PyLong_FromLong"(long) except NULL
    PyObject* new_ulong "PyLong_FromUnsignedLong"(unsigned long) except NULL
    PyObject* new_ulonglong "PyLong_FromUnsignedLongLong"(unsigned long long) except NULL
    PyObject* new_longlong "PyLong_FromLongLong"(long long) except NULL
    PyObject* new_float "PyFloat_FromDouble"(double) except NULL
    PyObject* new_bytes "PyBytes_FromStringAndSize"(const char*, Py_ssize_t) except NULL
    PyObject* new_tuple "PyTuple_New"(Py_ssize_t) except NULL
    PyObject* new_list "PyList_New"(Py_ssize_t) except NULL
    PyObject* new_dict "PyDict_New"() except NULL
    PyObject* list_to_tuple "PyList_AsTuple"(PyObject*) except NULL
    PyObject* dict_keys "PyDict_Keys"(PyObject*) except NULL
    PyObject* dict_values "PyDict_Values"(PyObject*) except NULL
    int list_append "PyList_Append"(PyObject*, PyObject*) except -1
    PyObject* dict_setdefault "PyDict_SetDefault"(PyObject*, PyObject*, PyObject*) except NULL
    int dict_next "PyDict_Next"(PyObject*, Py_ssize_t*, PyObject**, PyObject**) noexcept
    Py_ssize_t dict_size "PyDict_GET_SIZE"(PyObject*) noexcept
    int dict_contains "PyDict_Contains"(PyObject*, PyObject*) except -1
    Py_ssize_t tuple_size "PyTuple_GET_SIZE"(PyObject*) noexcept
    PyObject* tuple_item "PyTuple_GET_ITEM"(PyObject*, Py_ssize_t) noexcept
    void tuple_set "PyTuple_SET_ITEM"(PyObject*, Py_ssize_t, PyObject*) noexcept
    Py_ssize_t list_size "PyList_GET_SIZE"(PyObject*) noexcept
    PyObject* list_item "PyList_GET_ITEM"(PyObject*, Py_ssize_t) noexcept
    void list_set "PyList_SET_ITEM"(PyObject*, Py_ssize_t, PyObject*) noexcept
    Py_ssize_t bytes_size "PyBytes_GET_SIZE"(PyObject*) noexcept
    char* bytes_text "PyBytes_AS_STRING"(PyObject*) noexcept
    int bytes_resize "_PyBytes_Resize"(PyObject**, Py_ssize_t) except -1
    const char* utf8_of "PyUnicode_AsUTF8AndSize"(PyObject*, Py_ssize_t*) except NULL
    double float_of "PyFloat_AS_DOUBLE"(PyObject*) noexcept
    long long long_of "PyLong_AsLongLongAndOverflow"(PyObject*, int*) except? -1
    unsigned long long ulong_of "PyLong_AsUnsignedLongLong"(PyObject*) except? 18446744073709551615ULL
    int pause_gc "PyGC_Disable"() noexcept
    int resume_gc "PyGC_Enable"() noexcept
    void* raw_malloc "PyMem_Malloc"(size_t) noexcept
    void* raw_realloc "PyMem_Realloc"(void*, size_t) noexcept
    void raw_free "PyMem_Free"(void*) noexcept

cdef enum:
    VERSION = 131
    RECORD = 67
    NEW_FLOAT = 70
    BIT_BINARY = 77
    COMPRESSED = 80
    ATOM_CACHE_REF = 82
    NEW_PID = 88
    NEW_PORT = 89
    NEWER_REFERENCE = 90
    SMALL_INTEGER = 97
    INTEGER = 98
    FLOAT = 99
    ATOM = 100
    REFERENCE = 101
    PORT = 102
    PID = 103
    SMALL_TUPLE = 104
    LARGE_TUPLE = 105
    NIL = 106
    STRING = 107
    LIST = 108
    BINARY = 109
    SMALL_BIG = 110
    LARGE_BIG = 111
    NEW_FUN = 112
    EXPORT = 113
    NEW_REFERENCE = 114
    SMALL_ATOM = 115
    MAP = 116
    ATOM_UTF8 = 118
    SMALL_ATOM_UTF8 = 119
    V4_PORT = 120


# --- the classes of pyerlnode.term, by their addresses and slots ---------------------------------
cdef Py_ssize_t slot_of(cls, str name) except -1:
    cdef object descriptor = cls.__dict__[name]
    cdef Py_ssize_t offset = member_offset(<PyObject*>descriptor)
    if offset < 0:
        raise ImportError(f"{cls.__name__}.{name} is not a slot: the compiled codec needs it to be one")
    return offset

cdef PyObject* LONG = <PyObject*>int
cdef PyObject* BYTES = <PyObject*>bytes
cdef PyObject* STR = <PyObject*>str
cdef PyObject* FLOAT_TYPE = <PyObject*>float
cdef PyObject* BOOL = <PyObject*>bool
cdef PyObject* TUPLE = <PyObject*>tuple
cdef PyObject* LIST_TYPE = <PyObject*>list
cdef PyObject* DICT = <PyObject*>dict
cdef PyObject* ATOM_TYPE = <PyObject*>Atom
cdef PyObject* PID_TYPE = <PyObject*>Pid
cdef PyObject* PORT_TYPE = <PyObject*>Port
cdef PyObject* REFERENCE_TYPE = <PyObject*>Reference
cdef PyObject* IMPROPER_TYPE = <PyObject*>ImproperList
cdef PyObject* EXTERNAL_TYPE = <PyObject*>ExternalFun
cdef PyObject* BITSTRING_TYPE = <PyObject*>Bitstring
cdef PyObject* STRUCT_TYPE = <PyObject*>Struct
cdef PyObject* FROZEN_LIST = <PyObject*>FrozenList
cdef PyObject* FROZEN_MAP = <PyObject*>FrozenMap
cdef PyObject* FUN_TYPE = <PyObject*>Fun

cdef Py_ssize_t _MANY_PARTS = 2 * _MANY
cdef long long _LARGE = _LARGE_INTEGER
cdef Py_ssize_t ATOM_WIRE = slot_of(Atom, "wire")
cdef Py_ssize_t PID_NODE = slot_of(Pid, "node"), PID_ID = slot_of(Pid, "id")
cdef Py_ssize_t PID_SERIAL = slot_of(Pid, "serial"), PID_CREATION = slot_of(Pid, "creation")
cdef Py_ssize_t PORT_NODE = slot_of(Port, "node"), PORT_ID = slot_of(Port, "id")
cdef Py_ssize_t PORT_CREATION = slot_of(Port, "creation")
cdef Py_ssize_t REF_NODE = slot_of(Reference, "node"), REF_CREATION = slot_of(Reference, "creation")
cdef Py_ssize_t REF_WORDS = slot_of(Reference, "words")
cdef Py_ssize_t IMPROPER_ITEMS = slot_of(ImproperList, "items"), IMPROPER_TAIL = slot_of(ImproperList, "tail")
cdef Py_ssize_t EXTERNAL_MODULE = slot_of(ExternalFun, "module"), EXTERNAL_FUNCTION = slot_of(ExternalFun, "function")
cdef Py_ssize_t EXTERNAL_ARITY = slot_of(ExternalFun, "arity")
cdef Py_ssize_t STRUCT_MODULE = slot_of(Struct, "module"), STRUCT_FIELDS = slot_of(Struct, "fields")
cdef Py_ssize_t STRUCT_AT = slot_of(Struct, "at")

cdef PyObject* STRUCT_KEY = <PyObject*>_STRUCT_KEY
cdef object _true = Atom("true"), _false = Atom("false"), _nil = Atom("nil"), _undefined = Atom("undefined")
cdef PyObject* ATOM_TRUE = <PyObject*>_true
cdef PyObject* ATOM_FALSE = <PyObject*>_false
cdef PyObject* ATOM_UNDEFINED = <PyObject*>_undefined
cdef bytes TRUE_WIRE = _true.wire, FALSE_WIRE = _false.wire
cdef bytes NIL_WIRE = _NONE_WIRE[_ELIXIR], UNDEFINED_WIRE = _NONE_WIRE[_ERLANG]
cdef Py_ssize_t MAX_ARITY = _MAX_ARITY, MAX_DEPTH = _MAX_DEPTH, BIG_BINARY = _BIG_BINARY
cdef Py_ssize_t MOST_ROUNDS = _MOST_ROUNDS, MAX_ENCODED = _MAX_ENCODED
cdef object THE_DEFAULT = DEFAULT_LIMITS, ELIXIR = _ELIXIR, ERLANG = _ERLANG
cdef Py_ssize_t DEFAULT_NESTING = DEFAULT_LIMITS.nesting, DEFAULT_DIGITS = DEFAULT_LIMITS.integer_digits
cdef Py_ssize_t DEFAULT_MOST = DEFAULT_LIMITS.decoded_size
cdef Py_ssize_t CONTAINER = _CONTAINER, PART = _PART, KEYED = _KEYED

start_atoms(<uint64_t>hash(b"the atoms of pyerlnode"))
add_atom(<PyObject*>_true, py_true, <PyObject*>_true.utf8)
add_atom(<PyObject*>_false, py_false, <PyObject*>_false.utf8)
add_atom(<PyObject*>_nil, py_none, <PyObject*>_nil.utf8)


cdef int is_erlang(object profile) except -1:
    """0 for the "elixir" profile, 1 for the "erlang" one; any other is a KeyError, as in the twin."""
    if profile is ELIXIR or profile == ELIXIR:
        return 0
    if profile == ERLANG:
        return 1
    raise KeyError(profile)


include "_decode_c_frames.pxi"
include "_decode_c_parts.pxi"
include "_decode_c.pxi"
include "_encode_c_leaves.pxi"
include "_encode_c.pxi"
include "_packets_c.pxi"
