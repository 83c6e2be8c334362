# The compiled encoder's state and its leaves. Part of `_codec_c.pyx`; `_encode_py.py` says what is written.

cdef enum:
    OF_TUPLE, OF_LIST, OF_MAP, OF_FUN, OF_PAIRS
    FIRST = 1024
    SUSPICIOUS_DEPTH = 64
    PLAIN_KEYS = 1
    TEXT_KEYS = 2
    OTHER_KEYS = 4
    CHECKED_KEYS = 8
    CACHE_SLOTS = 2048
    MOST_CACHED = 128

cdef struct Cache:
    # The atom cache of the way to a peer: what it has been sent, and the references of the packet that is written.
    PyObject* sent[CACHE_SLOTS]  # borrowed, as atoms live for ever
    uint32_t stamp[CACHE_SLOTS]  # the packet that last used the slot
    unsigned char index[CACHE_SLOTS]
    uint32_t packet
    int count
    unsigned int slots[MOST_CACHED]
    PyObject* atoms[MOST_CACHED]

cdef struct Pending:
    PyObject* box       # the container whose parts are being written
    PyObject* owner     # the value of the program whose parts they are: borrowed, and compared only
    PyObject* value     # of a map: the value whose key is being written
    PyObject* module    # of a struct: the module, until __struct__ is written
    Py_ssize_t index
    Py_ssize_t size     # the parts that its head claims
    Py_ssize_t at       # of a struct: before which pair __struct__ stands; of a closure: where it begins
    Py_ssize_t next     # of a map: where PyDict_Next goes on
    int kind
    int keys            # of a map: the kinds of keys that were met
    Py_ssize_t late     # of a map whose keys are compared: the number of those before, which are not among the spans
    Py_ssize_t spans    # where its spans begin

cdef struct Writer:
    unsigned char* data
    Py_ssize_t used
    Py_ssize_t room
    PyObject* made       # the bytes object that `data` is in; NULL while it is `small`
    PyObject* pieces     # a list: large binaries are handed out and not copied; else NULL
    PyObject* profile
    Cache* cache         # NULL: atoms are written out
    Py_ssize_t most      # with a cache: bytes beyond which the packet can not be whole
    int erlang
    int funs             # closures and keys that are open: they must stay in one piece
    Pending* stack
    Py_ssize_t depth
    Py_ssize_t capacity
    Py_ssize_t large     # bytes of large binaries among those written
    PyObject* root       # the term, as `owner` is
    PyObject* culprit    # the map with a key twice, as `owner` is
    int rounds           # encoders that stand behind each other
    int suspect          # whether something was written that an older release may refuse (`releases`)
    Span* spans
    Py_ssize_t spans_used
    Py_ssize_t spans_room
    PyObject* marked     # a container that is open, as `owner` is, and its depth: the one that may come again
    Py_ssize_t marked_at
    Pending first[16]
    unsigned char small[FIRST]


# --- the output ---------------------------------------------------------------------------------
class _NotWhole(Exception):
    """What is written will go in fragments, which pass each other: it can not name atoms of the cache."""


cdef int grow(Writer* w, Py_ssize_t size) except -1:
    if w.cache != NULL and w.used + size > w.most:
        raise _NotWhole
    if w.used - w.large > MAX_ENCODED:
        raise _TooLarge
    cdef Py_ssize_t room = w.used + size + (w.used >> 1) + 512
    cdef PyObject* made
    if w.made == NULL:
        made = new_bytes(NULL, room)
        memcpy(bytes_text(made), w.data, w.used)
        w.made = made
    else:
        bytes_resize(&w.made, room)
    w.data = <unsigned char*>bytes_text(w.made)
    w.room = room
    return 0


cdef inline int reserve(Writer* w, Py_ssize_t size) except -1:
    if w.room - w.used < size:
        grow(w, size)
    return 0


cdef inline int put(Writer* w, const void* data, Py_ssize_t size) except -1:
    reserve(w, size)
    memcpy(w.data + w.used, data, size)
    w.used += size
    return 0


cdef inline int put_object(Writer* w, PyObject* data) except -1:
    return put(w, bytes_text(data), bytes_size(data))


cdef inline int put_head(Writer* w, int tag, Py_ssize_t size) except -1:
    reserve(w, 5)
    if size > 0xFFFFFFFFLL:
        raise EncodeError("a value of more than 4 GiB")
    w.data[w.used] = tag
    store32(w.data + w.used + 1, <uint32_t>size)
    w.used += 5
    return 0


cdef object finish(Writer* w):
    """What was written, as bytes; the writer is empty afterwards."""
    cdef object whole
    if w.made == NULL:
        whole = PyBytes_FromStringAndSize(<const char*>w.data, w.used)
    else:
        bytes_resize(&w.made, w.used)
        whole = taken(w.made)
    start(w)
    return whole


cdef inline void start(Writer* w) noexcept:
    w.made = NULL
    w.data = w.small
    w.room = FIRST
    w.used = 0
    w.large = 0


# --- frames -------------------------------------------------------------------------------------
cdef Pending* begin(Writer* w, int kind, PyObject* box, Py_ssize_t size) except NULL:
    """Open a frame over `box`, which is kept alive by it."""
    cdef Pending* grown
    cdef Pending* top
    if w.depth > MAX_DEPTH:
        raise _TooDeep(f"a term of more than {MAX_DEPTH} levels: it may hold itself")
    if w.depth + 1 == w.capacity:
        grown = <Pending*>raw_malloc(4 * w.capacity * sizeof(Pending))
        if grown == NULL:
            raise MemoryError
        memcpy(grown, w.stack, w.capacity * sizeof(Pending))
        if w.stack != w.first:
            raw_free(w.stack)
        w.stack = grown
        w.capacity *= 4
    w.depth += 1
    top = &w.stack[w.depth]
    incref(box)
    top.box = box
    top.owner = box
    top.value = top.module = NULL
    top.index = top.next = 0
    top.size = size
    top.kind = kind
    top.keys = 0
    return top


cdef inline void end_frame(Writer* w) noexcept:
    cdef Pending* top = &w.stack[w.depth]
    w.depth -= 1
    decref(top.box)
    xdecref(top.value)
    xdecref(top.module)


cdef void release(Writer* w) noexcept:
    while w.depth >= 0:
        end_frame(w)
    if w.stack != w.first:
        raw_free(w.stack)
    if w.spans != NULL:
        raw_free(w.spans)
    xdecref(w.made)


# --- leaves -------------------------------------------------------------------------------------
cdef int wrong_parts(PyObject* term) except -1:
    raise _as_encode_error(ValueError(), <object>term)


cdef int put_big(Writer* w, object value) except -1:
    cdef Py_ssize_t size = (value.bit_length() + 7) // 8
    cdef bytes digits = abs(value).to_bytes(size, "little")
    if size < 256:
        reserve(w, 3)
        w.data[w.used] = SMALL_BIG
        w.data[w.used + 1] = <unsigned char>size
        w.used += 2
    else:
        put_head(w, LARGE_BIG, size)
        reserve(w, 1)
    w.data[w.used] = 1 if value < 0 else 0
    w.used += 1
    return put_object(w, <PyObject*>digits)


cdef int put_int(Writer* w, PyObject* term) except -1:
    cdef int overflow = 0, count = 0
    cdef long long value = long_of(term, &overflow)
    cdef uint64_t digits
    if overflow:
        return put_big(w, <object>term)
    reserve(w, 11)
    cdef unsigned char* p = w.data + w.used
    if 0 <= value <= 255:
        p[0] = SMALL_INTEGER
        p[1] = <unsigned char>value
        w.used += 2
    elif -0x80000000LL <= value <= 0x7FFFFFFFLL:
        p[0] = INTEGER
        store32(p + 1, <uint32_t><int32_t>value)
        w.used += 5
    else:
        digits = -<uint64_t>value if value < 0 else <uint64_t>value
        p[0] = SMALL_BIG
        p[2] = 1 if value < 0 else 0
        while digits:
            p[3 + count] = digits & 0xFF
            digits >>= 8
            count += 1
        p[1] = <unsigned char>count
        w.used += 3 + count
    return 0


cdef int put_binary(Writer* w, PyObject* term) except -1:
    cdef Py_ssize_t size = bytes_size(term)
    put_head(w, BINARY, size)
    if w.pieces != NULL and size >= BIG_BINARY and not w.funs:
        (<list>w.pieces).append(finish(w))
        (<list>w.pieces).append(<object>term)
        return 0
    if size >= BIG_BINARY:
        w.large += size
    return put(w, bytes_text(term), size)


cdef int put_text(Writer* w, PyObject* term) except -1:
    cdef Py_ssize_t size = 0
    cdef const char* utf8
    try:
        utf8 = utf8_of(term, &size)
    except UnicodeEncodeError:
        raise EncodeError("a str with a lone surrogate has no UTF-8; give bytes") from None
    put_head(w, BINARY, size)
    if w.pieces != NULL and size >= BIG_BINARY and not w.funs:
        (<list>w.pieces).append(finish(w))
        (<list>w.pieces).append(utf8[:size])
        return 0
    if size >= BIG_BINARY:
        w.large += size
    return put(w, utf8, size)


cdef bint put_byte_list(Writer* w, PyObject* term, Py_ssize_t size) except -1:
    """Write a list as STRING_EXT if all its elements are integers 0..255; whether it was."""
    cdef Py_ssize_t i
    cdef PyObject* item
    cdef long long value
    cdef int overflow
    cdef unsigned char* p
    reserve(w, 3 + size)
    p = w.data + w.used + 3
    for i in range(size):
        item = list_item(term, i)
        if type_of(item) != LONG:
            return False
        value = long_of(item, &overflow)
        if overflow or value < 0 or value > 255:
            return False
        p[i] = <unsigned char>value
    w.data[w.used] = STRING
    store16(w.data + w.used + 1, <uint16_t>size)
    w.used += 3 + size
    return True


cdef inline int put_atom(Writer* w, PyObject* atom) except -1:
    """An atom, as a reference where the packet has a cache and room in it."""
    cdef Cache* c = w.cache
    cdef PyObject* wire
    cdef unsigned int slot
    if c == NULL:
        return put_object(w, get_slot(atom, ATOM_WIRE))
    slot = cache_slot(atom)
    if c.stamp[slot] != c.packet:
        wire = get_slot(atom, ATOM_WIRE)
        if c.count == MOST_CACHED or bytes_text(wire)[0] != SMALL_ATOM_UTF8:
            return put_object(w, wire)
        c.stamp[slot] = c.packet
        c.index[slot] = <unsigned char>c.count
        c.slots[c.count] = slot
        c.atoms[c.count] = atom
        c.count += 1
    elif c.atoms[c.index[slot]] != atom:  # another one of this packet has the slot
        return put_object(w, get_slot(atom, ATOM_WIRE))
    reserve(w, 2)
    w.data[w.used] = ATOM_CACHE_REF
    w.data[w.used + 1] = c.index[slot]
    w.used += 2
    return 0


cdef int put_name(Writer* w, PyObject* name, PyObject* term) except -1:
    if name == NULL or type_of(name) != ATOM_TYPE:
        wrong_parts(term)
    return put_atom(w, name)


cdef uint64_t number_of(PyObject* number, uint64_t most, PyObject* term) except? 18446744073709551615ULL:
    """An unsigned integer that is a part of `term`."""
    cdef object index
    cdef uint64_t value = 0
    if number == NULL:
        wrong_parts(term)
    try:
        index = (<object>number).__index__()
        value = index
    except Exception:
        wrong_parts(term)
    if value > most:
        wrong_parts(term)
    return value


cdef inline int put_number(Writer* w, PyObject* number, PyObject* term) except -1:
    """A part of 32 bits; room for it has been made."""
    cdef int overflow = 0
    cdef long long value = -1
    if number != NULL and type_of(number) == LONG:
        value = long_of(number, &overflow)
    if overflow or value < 0 or value > 0xFFFFFFFFLL:
        value = <long long>number_of(number, 0xFFFFFFFF, term)
    store32(w.data + w.used, <uint32_t>value)
    w.used += 4
    return 0


cdef int put_pid(Writer* w, PyObject* term) except -1:
    reserve(w, 1)
    w.data[w.used] = NEW_PID
    w.used += 1
    put_name(w, get_slot(term, PID_NODE), term)
    reserve(w, 12)
    put_number(w, get_slot(term, PID_ID), term)
    put_number(w, get_slot(term, PID_SERIAL), term)
    return put_number(w, get_slot(term, PID_CREATION), term)


cdef int put_port(Writer* w, PyObject* term) except -1:
    reserve(w, 1)
    w.data[w.used] = V4_PORT
    w.used += 1
    put_name(w, get_slot(term, PORT_NODE), term)
    reserve(w, 12)
    store64(w.data + w.used, number_of(get_slot(term, PORT_ID), 0xFFFFFFFFFFFFFFFFULL, term))
    w.used += 8
    return put_number(w, get_slot(term, PORT_CREATION), term)


cdef int put_reference(Writer* w, PyObject* term) except -1:
    cdef PyObject* words = get_slot(term, REF_WORDS)
    cdef object fixed
    cdef Py_ssize_t count, i
    if words == NULL:
        wrong_parts(term)
    try:
        fixed = <object>words if type_of(words) == TUPLE else tuple(<object>words)
    except Exception:
        wrong_parts(term)
    words = <PyObject*>fixed
    count = tuple_size(words)
    if not 1 <= count <= 5:
        raise EncodeError(f"a Reference of {count} words; it has 1 to 5")
    reserve(w, 3)
    w.data[w.used] = NEWER_REFERENCE
    store16(w.data + w.used + 1, <uint16_t>count)
    w.used += 3
    put_name(w, get_slot(term, REF_NODE), term)
    reserve(w, 24)
    put_number(w, get_slot(term, REF_CREATION), term)
    for i in range(count):
        put_number(w, tuple_item(words, i), term)
    return 0


cdef int put_external(Writer* w, PyObject* term) except -1:
    cdef PyObject* arity = get_slot(term, EXTERNAL_ARITY)
    cdef uint64_t value
    if arity == NULL:
        wrong_parts(term)
    value = number_of(arity, 0xFFFFFFFFFFFFFFFFULL, term)
    if value > 255:
        raise EncodeError(f"a function of {value} arguments; it has at most 255")
    reserve(w, 1)
    w.data[w.used] = EXPORT
    w.used += 1
    put_name(w, get_slot(term, EXTERNAL_MODULE), term)
    put_name(w, get_slot(term, EXTERNAL_FUNCTION), term)
    reserve(w, 2)
    w.data[w.used] = SMALL_INTEGER
    w.data[w.used + 1] = <unsigned char>value
    w.used += 2
    return 0
