# The compiled decoder; part of `_codec_c.pyx`. See `_decode_py.py` for the law that it follows line by line.

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
    Py_ssize_t nesting
    Py_ssize_t digits
    PyObject* atoms      # references of the packet: a tuple or a list; NULL when there are none
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


cdef int attach_to_map(Frame* top, PyObject* value) except -1:
    """Put a key or a value into a map; takes `value` over."""
    cdef Py_ssize_t before
    if top.kind == IN_MAP and top.key == NULL:
        if is_flat(value):
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


# --- atoms --------------------------------------------------------------------------------------
cdef Entry* learn_atom(Reader* r, const unsigned char* text, Py_ssize_t size) except NULL:
    cdef object utf8 = PyBytes_FromStringAndSize(<const char*>text, size)
    cdef object budget, atom
    if r.budget == NULL:
        budget = _AtomBudget((<object>r.limits).atoms)
        incref(<PyObject*>budget)
        r.budget = <PyObject*>budget  # given back by `run`
    atom = _named_atom(utf8, <object>r.budget, r.at)
    return add_atom(<PyObject*>atom, <PyObject*>atom, <PyObject*>atom.utf8)


cdef inline Entry* utf8_atom(Reader* r, const unsigned char* text, Py_ssize_t size) except NULL:
    cdef Entry* known = find_atom(text, size)
    return known if known != NULL else learn_atom(r, text, size)


cdef Entry* latin1_atom(Reader* r, const unsigned char* text, Py_ssize_t size) except NULL:
    cdef bytes utf8 = text[:size].decode("latin-1").encode()
    return utf8_atom(r, <const unsigned char*>bytes_text(<PyObject*>utf8), bytes_size(<PyObject*>utf8))


cdef Entry* long_atom(Reader* r, Py_ssize_t* pos) except NULL:
    """The atom whose tag, any but SMALL_ATOM_UTF8, is at `pos`; moves `pos` behind it."""
    cdef const unsigned char* p = r.data + pos[0]
    cdef Py_ssize_t left = r.size - pos[0]
    cdef Py_ssize_t head = 2 if p[0] == SMALL_ATOM else 3
    cdef Py_ssize_t size
    if left < head:
        truncated(r)
    size = p[1] if head == 2 else load16(p + 1)
    if left < head + size:
        truncated(r)
    pos[0] += head + size
    return utf8_atom(r, p + 3, size) if p[0] == ATOM_UTF8 else latin1_atom(r, p + head, size)


cdef inline PyObject* value_of(Reader* r, Entry* entry) noexcept:
    """What an atom decodes to, under this profile; a new reference."""
    cdef PyObject* value = entry.value
    if r.erlang and type_of(value) != BOOL:
        value = py_none if entry.atom == ATOM_UNDEFINED else entry.atom
    incref(value)
    return value


cdef PyObject* cached_atom(Reader* r, unsigned int index) except NULL:
    """The reference `index` of the packet, borrowed."""
    if r.atoms != NULL:
        if type_of(r.atoms) == LIST_TYPE:
            if index < list_size(r.atoms):
                return list_item(r.atoms, index)
        elif index < tuple_size(r.atoms):
            return tuple_item(r.atoms, index)
    raise DecodeError(f"a reference to atom {index}, which the packet does not have", r.at)


cdef PyObject* read_name(Reader* r, Py_ssize_t* pos) except NULL:
    """The atom at `pos` as itself, a new reference; moves `pos` behind it."""
    cdef const unsigned char* p = r.data + pos[0]
    cdef Py_ssize_t left = r.size - pos[0]
    cdef PyObject* value = NULL
    cdef Entry* entry
    if left < 1:
        truncated(r)
    if p[0] == SMALL_ATOM_UTF8:
        if left < 2 or left < 2 + <Py_ssize_t>p[1]:
            truncated(r)
        pos[0] += 2 + p[1]
        value = utf8_atom(r, p + 2, p[1]).atom
    elif p[0] == ATOM_CACHE_REF:
        if left < 2:
            truncated(r)
        pos[0] += 2
        value = cached_atom(r, p[1])
        if type_of(value) != ATOM_TYPE:
            return own(_as_atom(<object>value, _ERLANG if r.erlang else _ELIXIR))
    elif p[0] == ATOM_UTF8 or p[0] == ATOM or p[0] == SMALL_ATOM:
        entry = long_atom(r, pos)
        value = entry.atom
    else:
        refuse(r, "something else where a name must stand")
    incref(value)
    return value


# --- numbers ------------------------------------------------------------------------------------
cdef PyObject* read_big(Reader* r, Py_ssize_t start, Py_ssize_t digits, int sign) except NULL:
    cdef const unsigned char* p = r.data + start
    cdef uint64_t value = 0
    cdef Py_ssize_t i
    cdef object number
    if r.size - start < digits:
        truncated(r)
    if digits <= 8:
        for i in range(digits):
            value |= <uint64_t>p[i] << (8 * i)
        if not sign:
            return new_ulonglong(value)
        if value < <uint64_t>1 << 63:
            return new_longlong(-<long long>value)
    number = int.from_bytes(p[:digits], "little")
    return own(-number if sign else number)


cdef object read_number(Reader* r, Py_ssize_t* pos):
    """An integer that stands for itself within another term."""
    cdef const unsigned char* p = r.data + pos[0]
    cdef Py_ssize_t left = r.size - pos[0], start = pos[0]
    if left < 1:
        truncated(r)
    if p[0] == SMALL_INTEGER:
        if left < 2:
            truncated(r)
        pos[0] += 2
        return p[1]
    if p[0] == INTEGER:
        if left < 5:
            truncated(r)
        pos[0] += 5
        return <int32_t>load32(p + 1)
    if p[0] != SMALL_BIG:
        refuse(r, "something else where an integer must stand")
    if left < 3:
        truncated(r)
    pos[0] += 3 + p[1]
    return taken(read_big(r, start + 3, p[1], p[2]))


cdef inline object taken(PyObject* value):
    """A reference that is owned, as an object that Cython minds."""
    cdef object held = <object>value
    decref(value)
    return held


# --- identifiers --------------------------------------------------------------------------------
cdef inline int need(Reader* r, Py_ssize_t pos, Py_ssize_t size) except -1:
    if r.size - pos < size:
        truncated(r)
    return 0


cdef uint32_t old_creation(Reader* r, Py_ssize_t pos) except? 255:
    need(r, pos, 1)
    if r.data[pos] > 3:
        refuse(r, f"an identifier of the old form with creation {r.data[pos]}")
    return r.data[pos]


cdef PyObject* creations[16]
cdef uint32_t creation_of[16]


cdef inline PyObject* new_creation(uint32_t creation) except NULL:
    """A creation as an int; a node keeps its own for life, so the few that are seen are kept."""
    cdef unsigned int i = creation & 15
    if creations[i] == NULL or creation_of[i] != creation:
        xdecref(creations[i])
        creations[i] = NULL
        creations[i] = new_ulong(creation)
        creation_of[i] = creation
    incref(creations[i])
    return creations[i]


cdef inline PyObject* finished(Reader* r) noexcept:
    cdef PyObject* made = r.loose
    r.loose = NULL
    return made


cdef PyObject* read_pid(Reader* r, Py_ssize_t* pos) except NULL:
    cdef bint old = r.data[pos[0]] == PID
    cdef PyObject* pid
    cdef const unsigned char* p
    pid = r.loose = new_object(PID_TYPE)
    pos[0] += 1
    set_slot(pid, PID_NODE, read_name(r, pos))
    need(r, pos[0], 8 if old else 12)
    p = r.data + pos[0]
    set_slot(pid, PID_CREATION, new_creation(old_creation(r, pos[0] + 8) if old else load32(p + 8)))
    set_slot(pid, PID_ID, new_ulong(load32(p)))
    set_slot(pid, PID_SERIAL, new_ulong(load32(p + 4)))
    pos[0] += 9 if old else 12
    return finished(r)


cdef PyObject* read_port(Reader* r, Py_ssize_t* pos) except NULL:
    cdef int tag = r.data[pos[0]]
    cdef Py_ssize_t wide = 8 if tag == V4_PORT else 4
    cdef PyObject* port
    cdef const unsigned char* p
    port = r.loose = new_object(PORT_TYPE)
    pos[0] += 1
    set_slot(port, PORT_NODE, read_name(r, pos))
    need(r, pos[0], wide if tag == PORT else wide + 4)
    p = r.data + pos[0]
    set_slot(port, PORT_CREATION, new_creation(old_creation(r, pos[0] + 4) if tag == PORT else load32(p + wide)))
    set_slot(port, PORT_ID, new_ulonglong(load64(p) if wide == 8 else load32(p)))
    pos[0] += wide + (1 if tag == PORT else 4)
    return finished(r)


cdef PyObject* read_reference(Reader* r, Py_ssize_t* pos) except NULL:
    cdef int tag = r.data[pos[0]]
    cdef Py_ssize_t count = 1, i
    cdef uint32_t creation
    cdef PyObject* words
    cdef PyObject* reference
    cdef const unsigned char* p
    reference = r.loose = new_object(REFERENCE_TYPE)
    pos[0] += 1
    if tag != REFERENCE:
        need(r, pos[0], 2)
        count = load16(r.data + pos[0])
        pos[0] += 2
    set_slot(reference, REF_NODE, read_name(r, pos))
    if tag == NEWER_REFERENCE:
        need(r, pos[0], 4)
        creation = load32(r.data + pos[0])
        pos[0] += 4
    elif tag == NEW_REFERENCE:
        creation = old_creation(r, pos[0])
        pos[0] += 1
    else:
        need(r, pos[0], 4)
        creation = old_creation(r, pos[0] + 4)
    if count > 5:
        refuse(r, f"a reference of {count} words")
    need(r, pos[0], 4 * count)
    p = r.data + pos[0]
    if tag == NEW_REFERENCE and count and load32(p) >= 1 << 18:
        refuse(r, "a reference of the old form with a first word above 18 bits")
    words = new_tuple(count)
    set_slot(reference, REF_WORDS, words)
    for i in range(count):
        tuple_set(words, i, new_ulong(load32(p + 4 * i)))
    set_slot(reference, REF_CREATION, new_creation(creation))
    pos[0] += 5 if tag == REFERENCE else 4 * count
    return finished(r)


# --- what is rarer ------------------------------------------------------------------------------
cdef object read_export(Reader* r, Py_ssize_t* pos):
    pos[0] += 1
    cdef object module = taken(read_name(r, pos))
    cdef object function = taken(read_name(r, pos))
    cdef object arity = read_number(r, pos)
    if not 0 <= arity <= 255:
        refuse(r, f"a function of {arity} arguments")
    return ExternalFun(module, function, arity)


cdef object read_float_text(Reader* r, Py_ssize_t* pos):
    need(r, pos[0], 32)
    cdef object value = _float_from_text(r.data[pos[0] + 1 : pos[0] + 32])
    if value is None:
        refuse(r, "a float that is not finite")
    pos[0] += 32
    return value


cdef object read_bit_binary(Reader* r, Py_ssize_t* pos):
    cdef Py_ssize_t start = pos[0] + 6, size
    cdef int bits
    need(r, pos[0], 6)
    size = load32(r.data + pos[0] + 1)
    bits = r.data[pos[0] + 5]
    need(r, start, size)
    if not 1 <= bits <= 8 or not size:
        refuse(r, f"a bit string with {bits} bits in its last byte")
    cdef bytes body = r.data[start : start + size]
    pos[0] = start + size
    return body if bits == 8 else Bitstring(body, bits)


cdef object read_fun_head(Reader* r, Py_ssize_t* pos, Py_ssize_t* count):
    """What comes before a closure's free variables, and their number. Its size is not looked at."""
    cdef const unsigned char* p = r.data + pos[0]
    need(r, pos[0], 30)
    cdef bytes uniq = p[6:22]
    count[0] = load32(p + 26)
    pos[0] += 30
    cdef object module = taken(read_name(r, pos))
    cdef object old_index = read_number(r, pos)
    cdef object old_uniq = read_number(r, pos)
    need(r, pos[0], 1)
    if r.data[pos[0]] != NEW_PID and r.data[pos[0]] != PID:
        refuse(r, "a closure whose maker is no pid")
    return module, p[5], uniq, load32(p + 22), old_index, old_uniq, taken(read_pid(r, pos))


cdef object read_record_head(Reader* r, Py_ssize_t* pos, Py_ssize_t* count):
    """What comes before the values of a native record, and their number."""
    cdef const unsigned char* p = r.data + pos[0]
    cdef Py_ssize_t i
    need(r, pos[0], 6)
    count[0] = load32(p + 1)
    if p[5] > 1:
        refuse(r, f"a native record with flags {p[5]}")
    if count[0] * 3 > r.size - pos[0] - 6:  # a name takes two bytes at least, a value one
        refuse(r, f"{count[0]} fields claimed where {r.size - pos[0] - 6} bytes are left")
    pos[0] += 6
    cdef object module = taken(read_name(r, pos))
    cdef object name = taken(read_name(r, pos))
    cdef list names = []
    for i in range(count[0]):
        names.append(taken(read_name(r, pos)))
    if len(set(names)) != len(names):
        refuse(r, "a native record with a field twice")
    return module, name, tuple(names), p[5] == 1


cdef PyObject* read_string(Reader* r, Py_ssize_t* pos) except NULL:
    cdef const unsigned char* p = r.data + pos[0]
    cdef Py_ssize_t left = r.size - pos[0], size, i
    cdef PyObject* made
    if left < 3:
        truncated(r)
    size = load16(p + 1)
    if left < 3 + size:
        truncated(r)
    made = new_list(size)
    for i in range(size):
        list_set(made, i, new_long(p[3 + i]))
    pos[0] += 3 + size
    return made


cdef PyObject* read_rare(Reader* r, Py_ssize_t* pos) except NULL:
    cdef int tag = r.data[pos[0]]
    cdef Py_ssize_t left = r.size - pos[0], start = pos[0], digits
    if tag == ATOM_UTF8 or tag == ATOM or tag == SMALL_ATOM:
        return value_of(r, long_atom(r, pos))
    if tag == PID:
        return read_pid(r, pos)
    if tag == V4_PORT or tag == NEW_PORT or tag == PORT:
        return read_port(r, pos)
    if tag == NEW_REFERENCE or tag == REFERENCE:
        return read_reference(r, pos)
    if tag == SMALL_BIG:
        need(r, start, 3)
        pos[0] = start + 3 + r.data[start + 1]
        return read_big(r, start + 3, r.data[start + 1], r.data[start + 2])
    if tag == LARGE_BIG:
        need(r, start, 5)
        digits = load32(r.data + start + 1)
        if digits > r.digits:
            raise LimitExceeded(f"an integer of {digits} bytes; Limits.integer_digits is less", r.at)
        need(r, start, 6)
        pos[0] = start + 6 + digits
        return read_big(r, start + 6, digits, r.data[start + 5])
    if tag == EXPORT:
        return own(read_export(r, pos))
    if tag == FLOAT:
        return own(read_float_text(r, pos))
    if tag == BIT_BINARY:
        return own(read_bit_binary(r, pos))
    raise DecodeError(f"tag {tag}, which is no term", r.at)


cdef PyObject* open_rare(Reader* r, Py_ssize_t* pos) except? NULL:
    """Open the frame of a closure or of a native record."""
    cdef Py_ssize_t count = 0
    cdef int kind = IN_FUN if r.data[pos[0]] == NEW_FUN else IN_RECORD
    cdef object head = read_fun_head(r, pos, &count) if kind == IN_FUN else read_record_head(r, pos, &count)
    cdef Frame* top
    claim(r, count, 0, r.size - pos[0])
    top = push(r)
    top.kind = kind
    top.room = count
    top.key = own(head)
    top.box = new_tuple(count)
    return NULL


cdef int read_plain(Reader* r, Frame* top, Py_ssize_t* at) except -1:
    """Fill a list with elements of the plainest kinds, up to the first that is another: the loop does that one."""
    cdef const unsigned char* data = r.data
    cdef const unsigned char* p
    cdef Py_ssize_t pos = at[0], size = r.size, index = 0, room = top.room, n
    cdef PyObject* box = top.box
    cdef PyObject* value
    cdef Entry* entry
    cdef double number
    cdef int tag
    while index < room and size - pos >= 9:
        p = data + pos
        tag = p[0]
        if tag == INTEGER:
            value = new_long(<int32_t>load32(p + 1))
            pos += 5
        elif tag == SMALL_INTEGER:
            value = new_long(p[1])
            pos += 2
        elif tag == NEW_FLOAT:
            number = load_double(p + 1)
            if not isfinite(number):
                break
            value = new_float(number)
            pos += 9
        elif tag == BINARY:
            n = load32(p + 1)
            if size - pos - 5 < n:
                break
            value = new_bytes(<const char*>p + 5, n)
            pos += 5 + n
        elif tag == SMALL_ATOM_UTF8:
            n = p[1]
            if size - pos - 2 < n:
                break
            entry = find_atom(p + 2, n)
            if entry == NULL:
                break
            value = value_of(r, entry)
            pos += 2 + n
        else:
            break
        list_set(box, index, value)
        index += 1
        top.index = index
    top.room = room - index
    at[0] = pos
    return 0


# --- the loop -----------------------------------------------------------------------------------
cdef PyObject* read_term(Reader* r, Py_ssize_t* end) except NULL:
    """The term at `end`, which is moved behind it. Every frame is on the stack, so the caller can drop them."""
    cdef const unsigned char* data = r.data
    cdef const unsigned char* p
    cdef Py_ssize_t size = r.size, pos = end[0], left, n
    cdef Frame* top = r.stack
    cdef PyObject* value
    cdef PyObject* more
    cdef double number
    cdef int tag, kind
    while True:
        r.at = pos
        left = size - pos
        if left <= 0:
            truncated(r)
        p = data + pos
        tag = p[0]
        value = NULL
        # one term: its value, or a new frame
        if tag == SMALL_ATOM_UTF8:
            if left < 2 or left < 2 + <Py_ssize_t>p[1]:
                truncated(r)
            value = value_of(r, utf8_atom(r, p + 2, p[1]))
            pos += 2 + p[1]
        elif tag == SMALL_INTEGER:
            if left < 2:
                truncated(r)
            value = new_long(p[1])
            pos += 2
        elif tag == INTEGER:
            if left < 5:
                truncated(r)
            value = new_long(<int32_t>load32(p + 1))
            pos += 5
        elif tag == BINARY:
            if left < 5:
                truncated(r)
            n = load32(p + 1)
            if left - 5 < n:
                truncated(r)
            value = new_bytes(<const char*>p + 5, n)
            pos += 5 + n
        elif tag == NEW_FLOAT:
            if left < 9:
                truncated(r)
            number = load_double(p + 1)
            if not isfinite(number):
                refuse(r, "a float that is not finite")
            value = new_float(number)
            pos += 9
        elif tag == ATOM_CACHE_REF:
            if left < 2:
                truncated(r)
            value = cached_atom(r, p[1])
            incref(value)
            pos += 2
        elif tag == SMALL_TUPLE or tag == LARGE_TUPLE:
            if left < (2 if tag == SMALL_TUPLE else 5):
                truncated(r)
            if tag == SMALL_TUPLE:
                n = p[1]
                pos += 2
            else:
                n = load32(p + 1)
                if n > MAX_ARITY:
                    refuse(r, f"a tuple of {n} elements")
                pos += 5
            claim(r, n, 0, size - pos)
            top = push(r)
            top.kind = IN_TUPLE
            top.room = n
            top.box = new_tuple(n)
        elif tag == LIST:
            if left < 5:
                truncated(r)
            n = load32(p + 1)
            pos += 5
            claim(r, n, 1, size - pos)
            top = push(r)
            top.room = n
            if n == 1:
                top.kind = IN_ONE
            else:
                top.kind = IN_LIST
                top.box = new_list(n)
                if n >= 4:
                    read_plain(r, top, &pos)
        elif tag == NIL:
            value = new_list(0)
            pos += 1
        elif tag == MAP:
            if left < 5:
                truncated(r)
            n = 2 * <Py_ssize_t>load32(p + 1)
            pos += 5
            claim(r, n, 0, size - pos)
            top = push(r)
            top.kind = IN_MAP
            top.room = n
            top.box = new_dict()
        elif tag == STRING:
            value = read_string(r, &pos)
        elif tag == NEW_PID:
            value = read_pid(r, &pos)
        elif tag == NEWER_REFERENCE:
            value = read_reference(r, &pos)
        elif tag == NEW_FUN or tag == RECORD:
            open_rare(r, &pos)
            top = &r.stack[r.depth]
        else:
            value = read_rare(r, &pos)

        if value != NULL:
            top.room -= 1
        # hand the value to its container; a container that is full is a value in turn
        while True:
            if value != NULL:
                kind = top.kind
                if kind == IN_TUPLE:
                    tuple_set(top.box, top.index, value)
                elif kind == IN_LIST:
                    list_set(top.box, top.index, value)
                elif kind == IN_ONE:
                    top.key = value
                elif kind == IN_MAP or kind == IN_SLOW_MAP:
                    attach_to_map(top, value)
                elif kind == IN_LONG_LIST:
                    try:
                        list_append(top.box, value)
                    finally:
                        decref(value)
                elif kind == IN_ROOT:
                    end[0] = pos
                    return value
                elif kind == IN_TAIL or kind == IN_ONE_TAIL:
                    if kind == IN_ONE_TAIL or list_size(top.box):
                        value = make_improper(top, value)
                    xdecref(top.box)
                    top.box = NULL
                    r.depth -= 1
                    top = &r.stack[r.depth]
                    r.owed -= top.room
                    continue
                else:
                    tuple_set(top.box, top.index, value)
                top.index += 1
            if top.room > 0:
                break
            kind = top.kind
            if kind == IN_LIST or kind == IN_ONE or kind == IN_LONG_LIST:
                r.at = pos
                left = size - pos
                if left <= 0:
                    truncated(r)
                p = data + pos
                if kind == IN_ONE:
                    if p[0] != NIL and p[0] != LIST and p[0] != STRING:
                        top.kind = IN_ONE_TAIL
                        top.room = 1
                        break
                    make_list_of_one(top)
                    top.kind = IN_LONG_LIST
                if p[0] == NIL:
                    pos += 1
                elif p[0] == LIST:  # a tail that is a list goes on with this one
                    if left < 5:
                        truncated(r)
                    n = load32(p + 1)
                    if n + 1 + r.owed > left - 5:
                        over_claim(r, n, left - 5)
                    pos += 5
                    top.kind = IN_LONG_LIST
                    top.room = n
                    value = NULL
                    continue
                elif p[0] == STRING:
                    more = read_string(r, &pos)
                    try:
                        for n in range(list_size(more)):
                            list_append(top.box, list_item(more, n))
                    finally:
                        decref(more)
                else:
                    top.kind = IN_TAIL
                    top.room = 1
                    break
                value = top.box
            elif kind == IN_TUPLE or (kind == IN_MAP and not top.is_struct):
                value = top.box
            elif kind == IN_ROOT:
                break  # not reached: a root that is full has returned
            else:
                value = close_rare(top, pos)
                decref(top.box)
                xdecref(top.key)
                top.key = NULL
            top.box = NULL
            r.depth -= 1
            top = &r.stack[r.depth]
            r.owed -= top.room


cdef object run(Reader* r, Py_ssize_t* end):
    """One decoding, with its frames and its budget given back however it ends."""
    cdef bint own_budget = r.budget == NULL
    cdef PyObject* value = NULL
    if end[0] < 0 or end[0] > r.size:
        raise DecodeError("the bytes end within a term", min(max(end[0], 0), r.size))
    r.owed = 0
    r.stack = r.first
    r.depth = 0
    r.capacity = 16
    r.loose = r.first[0].box = r.first[0].key = NULL
    r.first[0].kind = IN_ROOT
    r.first[0].room = 1
    r.first[0].index = 0
    # Nothing that is built here can be garbage before it is returned: looking for some while a large term is
    # decoded is half of the time. The collector looks once, afterwards.
    cdef bint paused = r.size - end[0] > 512 and pause_gc()
    try:
        value = read_term(r, end)
    finally:
        if paused:
            resume_gc()
        drop_frames(r)
        if own_budget:
            xdecref(r.budget)
    return taken(value)


cdef int set_limits(Reader* r, object limits) except -1:
    r.limits = <PyObject*>limits
    if limits is THE_DEFAULT:
        r.nesting = DEFAULT_NESTING
        r.digits = DEFAULT_DIGITS
    else:
        r.nesting = limits.nesting
        r.digits = limits.integer_digits
    return 0


cdef object read_from(Reader* r, object data, Py_ssize_t* end):
    """Decode from any buffer; one that is not contiguous is copied."""
    cdef Py_buffer view
    if type_of(<PyObject*>data) == BYTES:
        r.data = <const unsigned char*>bytes_text(<PyObject*>data)
        r.size = bytes_size(<PyObject*>data)
        return run(r, end)
    try:
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    except BufferError:
        return read_from(r, bytes(data), end)
    r.data = <const unsigned char*>view.buf
    r.size = view.len
    try:
        return run(r, end)
    finally:
        PyBuffer_Release(&view)


def decode_term(data, Py_ssize_t offset=0, atoms=None, budget=None, limits=DEFAULT_LIMITS, profile=_ELIXIR):
    """The term that begins at `offset`, without 131, and the offset after it.

    `atoms` are the references of the packet's header, which ATOM_CACHE_REF names by number; `None` when there is
    no header. New atoms are charged to `budget`. Raises `DecodeError`, and `LimitExceeded` which is one.
    """
    cdef Reader r
    cdef object value, references = atoms
    r.erlang = is_erlang(profile)
    r.atoms = NULL
    if references is not None:
        if type(references) is not tuple and type(references) is not list:
            references = tuple(references)
        r.atoms = <PyObject*>references
    r.budget = <PyObject*>budget
    set_limits(&r, limits)
    value = read_from(&r, data, &offset)
    return value, offset


cdef object decode_alone(object data, Py_ssize_t* end, object profile, object atoms, object limits):
    """The term whose 131 is at `end`, which is moved behind it."""
    cdef Reader r
    cdef Py_ssize_t size, offset = end[0]
    cdef const unsigned char* p
    cdef int first, second = 0
    if type_of(<PyObject*>data) == BYTES and 0 <= offset and offset + 1 < bytes_size(<PyObject*>data):
        p = <const unsigned char*>bytes_text(<PyObject*>data) + offset
        first, second = p[0], p[1]
    else:
        size = len(data)
        first = data[offset] if 0 <= offset < size else 0
        second = data[offset + 1] if 0 <= offset < size - 1 else 0
    if first != VERSION:
        raise DecodeError("no term in the External Term Format: 131 expected", max(0, min(offset, len(data))))
    end[0] = offset + 1
    if second == COMPRESSED:
        return decode_compressed(data, end, profile, atoms, limits)
    r.erlang = is_erlang(profile)
    r.atoms = NULL
    r.budget = NULL if atoms == "new" else <PyObject*>_NO_ATOMS
    set_limits(&r, limits)
    return read_from(&r, data, end)


cdef object decode_compressed(object data, Py_ssize_t* end, object profile, object atoms, object limits):
    """A compressed term; an error in what was inflated is told of its tag, the only offset the caller can find."""
    cdef Py_ssize_t offset = end[0]
    body, end[0] = _inflate(data, offset, limits)
    budget = _AtomBudget(limits.atoms) if atoms == "new" else _NO_ATOMS
    try:
        term, used = decode_term(body, 0, None, budget, limits, profile)
    except LimitExceeded as error:
        raise LimitExceeded(f"within a compressed term, {error}, in the term", offset) from None
    except DecodeError as error:
        raise DecodeError(f"within a compressed term, {error}, in the term", offset) from None
    if used != len(body):
        raise DecodeError("bytes after a term that was compressed", offset)
    return term


def decode(data, *, profile=_ELIXIR, atoms="new", limits=DEFAULT_LIMITS):
    """The term that `data` is, from its 131 to its last byte.

    ``atoms="existing"`` refuses atoms that nobody has used yet: give it for bytes that are not trusted.
    Raises `DecodeError` with the offset; `LimitExceeded`, which is one, for claims beyond `limits`.
    """
    cdef Py_ssize_t end = 0
    cdef object term = decode_alone(data, &end, profile, atoms, limits)
    if end != (bytes_size(<PyObject*>data) if type_of(<PyObject*>data) == BYTES else len(data)):
        raise DecodeError("bytes after the term", end)
    return term


def decode_prefix(data, Py_ssize_t offset=0, *, profile=_ELIXIR, atoms="new", limits=DEFAULT_LIMITS):
    """The term whose 131 is at `offset`, and the offset after it: what follows is not looked at."""
    cdef object term = decode_alone(data, &offset, profile, atoms, limits)
    return term, offset
