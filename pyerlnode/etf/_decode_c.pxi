# The compiled decoder's loop and its door. Part of `_codec_c.pyx`.

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
            value = filled_bytes(p + 5, n)
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
            charge(r, CONTAINER)
            value = new_list(0)
            pos += 1
        elif tag == MAP:
            if left < 5:
                truncated(r)
            n = 2 * <Py_ssize_t>load32(p + 1)
            pos += 5
            claim(r, n, 0, size - pos)
            if n:
                charge(r, KEYED)
            top = push(r)
            top.kind = IN_MAP
            top.room = n
            top.box = new_dict()
        elif tag == STRING:
            value = read_string(r, &pos, CONTAINER)
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
                    charge(r, PART * n)
                    pos += 5
                    top.kind = IN_LONG_LIST
                    top.room = n
                    value = NULL
                    continue
                elif p[0] == STRING:
                    more = read_string(r, &pos, 0)
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
    cdef bint own_budget = r.budget == NULL, starved = False
    cdef PyObject* value = NULL
    if end[0] < 0 or end[0] > r.size:
        raise DecodeError("the bytes end within a term", min(max(end[0], 0), r.size))
    r.owed = 0
    r.memory = r.most
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
    except MemoryError:
        starved = True  # and told when what was made is given back: an error takes memory, too
    finally:
        if paused:
            resume_gc()
        drop_frames(r)
        if own_budget:
            xdecref(r.budget)
    if starved:
        raise DecodeError(_NO_MEMORY, r.at)
    return taken(value)


cdef int set_limits(Reader* r, object limits) except -1:
    r.limits = <PyObject*>limits
    r.refs_count = 0
    if limits is THE_DEFAULT:
        r.nesting = DEFAULT_NESTING
        r.digits = DEFAULT_DIGITS
        r.most = DEFAULT_MOST
    else:
        r.nesting = limits.nesting
        r.digits = limits.integer_digits
        r.most = limits.decoded_size
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


def decode_packet(bytes data not None, Py_ssize_t at, Py_ssize_t end, atoms, budget, limits=DEFAULT_LIMITS):
    """The control message at `at` of a packet that ends at `end`, and its payload: see `_decode_py.decode_packet`."""
    cdef Reader r
    cdef Py_ssize_t pos = at, begins
    cdef object control, payload = None, failed = None, references = atoms
    if not 0 <= at <= end <= bytes_size(<PyObject*>data):
        raise DecodeError("the bytes end within a term", max(at, 0))
    if type(references) is not tuple and type(references) is not list:
        references = tuple(references)
    r.data = <const unsigned char*>bytes_text(<PyObject*>data)
    r.size = end
    r.erlang = 0
    r.atoms = <PyObject*>references
    r.budget = <PyObject*>budget
    set_limits(&r, limits)
    control = run(&r, &pos)
    begins = pos
    if pos < end:
        try:
            payload = run(&r, &pos)
        except DecodeError as error:
            failed = error
    return control, begins, payload, failed
