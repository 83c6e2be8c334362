# The compiled decoder's readers of single terms: atoms, numbers, identifiers, and what is rarer. Part of `_codec_c.pyx`.

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
    elif index < r.refs_count:
        return r.refs[index]
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
    if not 1 <= count <= 5:
        refuse(r, f"a reference of {count} words")
    need(r, pos[0], 4 * count)
    p = r.data + pos[0]
    if tag == NEW_REFERENCE and load32(p) >= 1 << 18:
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


cdef PyObject* read_string(Reader* r, Py_ssize_t* pos, Py_ssize_t own) except NULL:
    """A list of bytes; `own` is what the list takes beside its parts, where it does not go on with another one."""
    cdef const unsigned char* p = r.data + pos[0]
    cdef Py_ssize_t left = r.size - pos[0], size, i
    cdef PyObject* made
    if left < 3:
        truncated(r)
    size = load16(p + 1)
    if left < 3 + size:
        truncated(r)
    charge(r, own + PART * size)
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
