# The compiled decoder's state: what is being read, and the containers that are open. Part of `_codec_c.pyx`;
# `_decode_py.py` is the law that all three parts of the decoder follow line by line.

# What becomes of the parts of an open container. ONE is a list of one element, kept as `key` until its tail is seen:
# the alias tag of every call is such a list, and an improper one. LONG_LIST is a list that grew by a tail that is a
# list; SLOW_MAP a map with keys that must be frozen, or that Python can not tell apart.
cdef enum:
    IN_ROOT, IN_TUPLE, IN_LIST, IN_ONE, IN_ONE_TAIL, IN_LONG_LIST, IN_TAIL, IN_MAP, IN_SLOW_MAP, IN_FUN, IN_RECORD

cdef struct Frame:
    PyObject* box       # the container: a tuple, a list, a dict; the list of keys of a SLOW_MAP
    PyObject* key       # the key that waits for its value; the list of values of a SLOW_MAP; the head of a closure
    Py_ssize_t room     # parts that are missing
    Py_ssize_t index    # parts that are there
    int kind
    int is_struct       # a map that has __struct__

cdef struct Reader:
    const unsigned char* data
    Py_ssize_t size
    Py_ssize_t at        # where the term began that is being read: the offset of every error
    Py_ssize_t owed      # parts that the containers around the innermost one still want
    Py_ssize_t memory    # what more containers may take
    Py_ssize_t nesting
    Py_ssize_t most      # what the containers of one term may take
    Py_ssize_t digits
    PyObject* atoms      # references of the packet: a tuple or a list; NULL when there are none
    PyObject** refs      # the same, borrowed, where the packet's header was read here; used when `atoms` is NULL
    Py_ssize_t refs_count
    PyObject* budget     # NULL: made from the limits when the first new atom comes
    PyObject* limits
    PyObject* loose      # an identifier that is being made: dropped when its reading fails
    int erlang
    Frame* stack
    Py_ssize_t depth
    Py_ssize_t capacity
    Frame first[16]


cdef int truncated(Reader* r) except -1:
    raise DecodeError("the bytes end within a term", r.at)


cdef int refuse(Reader* r, str why) except -1:
    raise DecodeError(why, r.at)


cdef int too_large(Reader* r) except -1:
    raise _too_large(<object>r.limits, r.at)


cdef inline int charge(Reader* r, Py_ssize_t bytes) except -1:
    """Count what a container takes."""
    r.memory -= bytes
    if r.memory < 0:
        too_large(r)
    return 0


# --- frames -------------------------------------------------------------------------------------
cdef inline Frame* push(Reader* r) except NULL:
    cdef Frame* grown
    cdef Frame* top
    if r.depth + 1 == r.capacity:
        grown = <Frame*>raw_malloc(2 * r.capacity * sizeof(Frame))
        if grown == NULL:
            raise MemoryError
        memcpy(grown, r.stack, r.capacity * sizeof(Frame))
        if r.stack != r.first:
            raw_free(r.stack)
        r.stack = grown
        r.capacity *= 2
    r.depth += 1
    top = &r.stack[r.depth]
    top.box = top.key = NULL
    top.index = 0
    top.is_struct = 0
    return top


cdef void drop_frames(Reader* r) noexcept:
    cdef Py_ssize_t i
    for i in range(r.depth + 1):
        xdecref(r.stack[i].box)
        xdecref(r.stack[i].key)
    xdecref(r.loose)
    r.loose = NULL
    if r.stack != r.first:
        raw_free(r.stack)


cdef int over_claim(Reader* r, Py_ssize_t parts, Py_ssize_t left) except -1:
    raise DecodeError(f"{parts} parts claimed where {left} bytes are left", r.at)


cdef inline int claim(Reader* r, Py_ssize_t parts, Py_ssize_t wanted, Py_ssize_t left) except -1:
    """Whether `left` bytes can hold a container of so many parts and what is owed to those around it."""
    cdef Frame* top = &r.stack[r.depth]
    top.room -= 1
    if parts + wanted + r.owed + top.room > left:
        over_claim(r, parts, left)
    if r.depth >= r.nesting:
        raise LimitExceeded(f"more than {r.nesting} levels of nesting", r.at)
    charge(r, CONTAINER + PART * parts)
    r.owed += top.room
    return 0


cdef int make_slow(Frame* top) except -1:
    """Part the dict of a map into a list of its keys and a list of its values; a key that waits is put at the end."""
    cdef PyObject* keys = dict_keys(top.box)
    cdef PyObject* values
    try:
        values = dict_values(top.box)
    except:
        decref(keys)
        raise
    decref(top.box)
    top.box = keys
    cdef PyObject* key = top.key
    top.key = values
    top.kind = IN_SLOW_MAP
    if key != NULL:
        try:
            list_append(keys, key)
        finally:
            decref(key)
    return 0


cdef inline bint is_flat(PyObject* key) noexcept:
    cdef PyObject* kind = type_of(key)
    return (
        kind == ATOM_TYPE or kind == BYTES or kind == LONG or kind == FLOAT_TYPE or kind == BOOL or key == py_none
        or kind == PID_TYPE or kind == PORT_TYPE or kind == REFERENCE_TYPE or kind == EXTERNAL_TYPE
        or kind == BITSTRING_TYPE
    )


cdef bint is_large(PyObject* key) except -1:
    """Whether it is an integer whose hash is not itself: who sends such ones can choose them to have one hash."""
    cdef int overflow = 0
    cdef long long number
    if type_of(key) != LONG:
        return False
    number = long_of(key, &overflow)
    return overflow != 0 or number >= _LARGE or number <= -_LARGE


cdef int attach_to_map(Frame* top, PyObject* value) except -1:
    """Put a key or a value into a map; takes `value` over."""
    cdef Py_ssize_t before
    if top.kind == IN_MAP and top.key == NULL:
        if is_flat(value) and (top.index + top.room < _MANY_PARTS or not is_large(value)):
            top.key = value
            return 0
        make_slow(top)
    elif top.kind == IN_MAP:
        before = dict_size(top.box)
        try:
            dict_setdefault(top.box, top.key, value)
        except:
            decref(value)
            raise
        if dict_size(top.box) != before:
            if top.key == STRUCT_KEY:
                top.is_struct = 1
            decref(top.key)
            decref(value)
            top.key = NULL
            return 0
        make_slow(top)
    try:
        list_append(top.key if top.index & 1 else top.box, value)
    finally:
        decref(value)
    return 0


cdef inline PyObject* own(object value) noexcept:
    incref(<PyObject*>value)
    return <PyObject*>value


cdef PyObject* make_improper(Frame* top, PyObject* tail) except NULL:
    """The improper list of what the frame holds; takes `tail` over, and the frame keeps what it owns."""
    cdef PyObject* made
    cdef PyObject* items
    try:
        made = new_object(IMPROPER_TYPE)
    except:
        decref(tail)
        raise
    set_slot(made, IMPROPER_TAIL, tail)
    try:
        if top.kind == IN_TAIL:
            items = list_to_tuple(top.box)
        else:
            items = new_tuple(1)
            tuple_set(items, 0, top.key)
            top.key = NULL
    except:
        decref(made)
        raise
    set_slot(made, IMPROPER_ITEMS, items)
    return made


cdef int make_list_of_one(Frame* top) except -1:
    """Give a list of one element its list."""
    top.box = new_list(1)
    list_set(top.box, 0, top.key)
    top.key = NULL
    return 0


cdef PyObject* close_rare(Frame* top, Py_ssize_t pos) except NULL:
    """What a container of a rarer kind becomes; the frame keeps what it owns, for `drop_frames`."""
    cdef object head
    if top.kind == IN_SLOW_MAP:
        return own(_build_map(<object>top.box, <object>top.key, pos))
    if top.kind == IN_MAP:
        return own(_build_struct(<object>top.box))
    head = <object>top.key
    if top.kind == IN_FUN:
        return own(Fun(*head, <object>top.box))
    return own(NativeRecord(head[0], head[1], head[2], <object>top.box, head[3]))
