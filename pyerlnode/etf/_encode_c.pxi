# The compiled encoder's containers, its loop and its door. Part of `_codec_c.pyx`.

# --- containers: their heads are written here, their parts by the loop ---------------------------
cdef inline bint is_plain_key(PyObject* kind) noexcept:
    return (
        kind == ATOM_TYPE or kind == BYTES or kind == LONG or kind == FLOAT_TYPE or kind == PID_TYPE
        or kind == PORT_TYPE or kind == REFERENCE_TYPE
    )


cdef inline int look_at_key(Writer* w, Pending* top, PyObject* key) except -1:
    """Begin to note where keys are written when those that differ in Python may be one on the wire."""
    cdef PyObject* kind = type_of(key)
    if is_plain_key(kind):
        top.keys |= PLAIN_KEYS
    else:
        top.keys |= TEXT_KEYS if kind == STR else OTHER_KEYS
    return begin_checked_key(w, top) if top.keys >= PLAIN_KEYS + TEXT_KEYS else 0


cdef int begin_checked_key(Writer* w, Pending* top) except -1:
    if top.size == 1:
        return 0
    if top.keys < CHECKED_KEYS:
        top.keys = CHECKED_KEYS
        top.late = top.index - 1
        top.spans = w.spans_used
    return begin_key(w)


cdef int begin_key(Writer* w) except -1:
    cdef Span* grown
    cdef Py_ssize_t room
    if w.spans_used == w.spans_room:
        room = 2 * w.spans_room + 16
        grown = <Span*>raw_realloc(w.spans, room * sizeof(Span))
        if grown == NULL:
            raise MemoryError
        w.spans = grown
        w.spans_room = room
    w.spans[w.spans_used].piece = 0 if w.pieces == NULL else list_size(w.pieces)
    w.spans[w.spans_used].offset = w.used
    w.spans_used += 1
    w.funs += 1
    return 0


cdef inline void end_key(Writer* w) noexcept:
    """The spans of the maps within the key are gone: its own is the last one."""
    cdef Span* span = &w.spans[w.spans_used - 1]
    span.size = w.used - span.offset
    w.funs -= 1


cdef int write_late_keys(Writer* w, Pending* top) except -1:
    """Write again, to be compared and dropped, the keys before the first one that made it necessary: they have no parts."""
    cdef Py_ssize_t i, at = 0
    cdef PyObject* key
    cdef PyObject* value
    for i in range(top.late):
        if not dict_next(top.box, &at, &key, &value):
            changed()
        if not is_plain_key(type_of(key)) and type_of(key) != STR:
            changed()
        begin_key(w)
        put_held(w, key)
        end_key(w)
    return 0


cdef int check_keys(Writer* w, Pending* top) except -1:
    """Refuse a map of which two keys were written alike, and forget its spans."""
    cdef Py_ssize_t used = w.used, first = top.spans, count, i, large = w.large
    cdef Span* span
    if top.late:
        write_late_keys(w, top)
    count = w.spans_used - first
    for i in range(count):
        span = &w.spans[first + i]
        if w.pieces != NULL and span.piece < list_size(w.pieces):
            span.data = <const unsigned char*>bytes_text(list_item(w.pieces, span.piece)) + span.offset
        else:
            span.data = w.data + span.offset
    if has_twins(w.spans + first, count):
        w.culprit = top.owner
        raise _SameKey
    w.used = used
    w.large = large
    w.spans_used = first
    return 0


cdef int begin_flat(Writer* w, object parts) except -1:
    """Go on with the parts of a sequence, as those of a tuple whose head is written."""
    cdef tuple fixed = parts if type(parts) is tuple else tuple(parts)
    begin(w, OF_TUPLE, <PyObject*>fixed, tuple_size(<PyObject*>fixed))
    return 1


cdef int begin_pairs(Writer* w, list pairs, object owner) except -1:
    """Write the head of a map and go on with its pairs, of which two may have one key on the wire."""
    cdef Pending* top
    cdef set kinds = {type(key) for key, _ in pairs}
    put_head(w, MAP, len(pairs))
    w.suspect = 1
    begin_flat(w, _chain.from_iterable(pairs))
    top = &w.stack[w.depth]
    top.owner = <PyObject*>owner
    if not (kinds <= _PLAIN_KEYS or kinds == _ONLY_STR) and len(pairs) > 1:
        top.kind = OF_PAIRS
        top.late = 0
        top.spans = w.spans_used
    return 1


cdef int put_struct(Writer* w, PyObject* term) except -1:
    cdef PyObject* fields = get_slot(term, STRUCT_FIELDS)
    cdef PyObject* module = get_slot(term, STRUCT_MODULE)
    cdef PyObject* at = get_slot(term, STRUCT_AT)
    cdef PyObject* kind
    cdef Pending* top
    cdef Py_ssize_t place
    cdef object rest, pairs
    if fields == NULL or module == NULL or at == NULL:
        wrong_parts(term)
    kind = type_of(fields)
    try:
        rest = <object>fields
        place = <object>at
        if type_of(module) != ATOM_TYPE or _STRUCT_KEY in rest:
            raise EncodeError("a Struct is a module, an Atom, and fields without __struct__")
        if kind == DICT or kind == FROZEN_MAP:
            put_head(w, MAP, dict_size(fields) + 1)
            top = begin(w, OF_MAP, fields, dict_size(fields))
            incref(module)
            top.module = module
            top.at = place if place >= 0 else max(0, top.size + place)
            top.owner = term
            return 1
        pairs = [(key, value) for key, value in rest.items()]
        pairs.insert(place, (_STRUCT_KEY, <object>module))
        return begin_pairs(w, pairs, <object>term)
    except Exception as error:
        if isinstance(error, (EncodeError, _NotWhole)):
            raise
        raise _as_encode_error(error, <object>term) from error


cdef int put_improper(Writer* w, PyObject* term) except -1:
    cdef PyObject* items = get_slot(term, IMPROPER_ITEMS)
    cdef PyObject* tail = get_slot(term, IMPROPER_TAIL)
    cdef object fixed
    if items == NULL or tail == NULL:
        wrong_parts(term)
    try:
        fixed = tuple(<object>items)
    except Exception:
        wrong_parts(term)
    if fixed:
        put_head(w, LIST, len(fixed))
    begin_flat(w, fixed + (<object>tail,))
    w.stack[w.depth].owner = term
    return 1


cdef int put_fun(Writer* w, object term) except -1:
    """A closure's size comes first and counts everything to its end: it is filled in when the frame is closed."""
    cdef tuple parts = (term.module, term.old_index, term.old_uniq, term.pid, *term.free)
    cdef bytes head = _struct.pack(">BIB16sII", NEW_FUN, 0, term.arity, term.uniq, term.index, len(term.free))
    cdef Pending* top = begin(w, OF_FUN, <PyObject*>parts, tuple_size(<PyObject*>parts))
    top.at = w.used
    w.funs += 1
    put_object(w, <PyObject*>head)
    return 1


cdef int put_record(Writer* w, object term) except -1:
    names = term.names
    values = tuple(term.values)
    if len(names) != len(values) or len(set(names)) != len(names):
        raise EncodeError("a NativeRecord has one value for each name, and each name once")
    put_head(w, RECORD, len(names))
    w.suspect = 1
    reserve(w, 1)
    w.data[w.used] = 1 if term.exported else 0
    w.used += 1
    for name in (term.module, term.name, *names):
        put_name(w, <PyObject*>name, <PyObject*>term)
    return begin_flat(w, values)


cdef int put_termmap(Writer* w, object term) except -1:
    return begin_pairs(w, [(key, value) for key, value in term.pairs], term)


cdef int put_view(Writer* w, object term) except -1:
    """Bytes that may change before they are sent are copied; a read-only view is not."""
    cdef object body
    if type(term) is memoryview and term.readonly and term.c_contiguous:
        body = term.cast("B")
        if w.pieces != NULL and len(body) >= BIG_BINARY and not w.funs:
            put_head(w, BINARY, len(body))
            (<list>w.pieces).append(finish(w))
            (<list>w.pieces).append(body)
            return 0
    body = bytes(term)
    return put_binary(w, <PyObject*>body)


cdef int put_known(Writer* w, object term, object kind) except -1:
    """A term of a type that is met seldom: 0 when it is written, 1 when a frame was opened, 2 when it is not known."""
    if kind is TermMap:
        return put_termmap(w, term)
    if kind is Fun:
        return put_fun(w, term)
    if kind is NativeRecord:
        return put_record(w, term)
    if kind is bytearray or kind is memoryview:
        return put_view(w, term)
    if kind is Charlist:
        points = [ord(char) for char in term]
        return put_term(w, <PyObject*>points)
    if kind is Bitstring:
        data = bytes(term.data)
        if term.bits == 8:
            return put_binary(w, <PyObject*>data)
        put_head(w, BIT_BINARY, len(data))
        reserve(w, 1)
        w.data[w.used] = <unsigned char>term.bits
        w.used += 1
        put_object(w, <PyObject*>data)
        return 0
    return 2


cdef int put_rare(Writer* w, PyObject* borrowed) except -1:
    cdef object term = <object>borrowed, other
    cdef int done
    cdef Py_ssize_t rounds
    for rounds in range(MOST_ROUNDS + 1):
        try:
            done = put_known(w, term, type(term))
        except Exception as error:
            if isinstance(error, (EncodeError, _NotWhole)):
                raise
            raise _as_encode_error(error, term) from error
        if done == 2:
            other = _simplify(term)
            if type(other) is type(term):
                term = other
                continue
            if w.rounds == MOST_ROUNDS:
                break
            w.rounds += 1
            done = put_term(w, <PyObject*>other)
            w.rounds -= 1
        if done == 1:
            w.stack[w.depth].owner = borrowed
        return done
    raise _TooDeep("a value whose encoder never comes to an end")


cdef int put_term(Writer* w, PyObject* term) except -1:
    """Write a term, or its head and open a frame for its parts: 0 when it is whole, 1 when a frame was opened."""
    cdef PyObject* kind = type_of(term)
    cdef Py_ssize_t size
    cdef double number
    if kind == ATOM_TYPE:
        return put_atom(w, term)
    if kind == LONG:
        return put_int(w, term)
    if kind == BYTES:
        return put_binary(w, term)
    if kind == STR:
        return put_text(w, term)
    if kind == TUPLE:
        size = tuple_size(term)
        if size < 256:
            reserve(w, 2)
            w.data[w.used] = SMALL_TUPLE
            w.data[w.used + 1] = <unsigned char>size
            w.used += 2
        elif size <= MAX_ARITY:
            put_head(w, LARGE_TUPLE, size)
        else:
            raise EncodeError(f"a tuple of {size} elements; the BEAM's have at most {MAX_ARITY}")
        begin(w, OF_TUPLE, term, size)
        return 1
    if kind == FLOAT_TYPE:
        number = float_of(term)
        if not isfinite(number):
            raise EncodeError("a float that is not finite: a BEAM has none and drops the connection over it")
        reserve(w, 9)
        w.data[w.used] = NEW_FLOAT
        store_double(w.data + w.used + 1, number)
        w.used += 9
        return 0
    if kind == LIST_TYPE or kind == FROZEN_LIST:
        size = list_size(term)
        if size == 0:
            reserve(w, 1)
            w.data[w.used] = NIL
            w.used += 1
            return 0
        if size <= 0xFFFF and put_byte_list(w, term, size):
            return 0
        put_head(w, LIST, size)
        begin(w, OF_LIST, term, size)
        return 1
    if kind == DICT or kind == FROZEN_MAP:
        size = dict_size(term)
        put_head(w, MAP, size)
        begin(w, OF_MAP, term, size)
        return 1
    if term == py_none:
        return put_object(w, <PyObject*>UNDEFINED_WIRE if w.erlang else <PyObject*>NIL_WIRE)
    if kind == BOOL:
        return put_object(w, <PyObject*>TRUE_WIRE if term == py_true else <PyObject*>FALSE_WIRE)
    if kind == PID_TYPE:
        return put_pid(w, term)
    if kind == REFERENCE_TYPE:
        return put_reference(w, term)
    if kind == IMPROPER_TYPE:
        return put_improper(w, term)
    if kind == STRUCT_TYPE:
        return put_struct(w, term)
    if kind == PORT_TYPE:
        return put_port(w, term)
    if kind == EXTERNAL_TYPE:
        return put_external(w, term)
    return put_rare(w, term)


# --- the loop -----------------------------------------------------------------------------------
cdef int changed() except -1:
    raise _Changed


cdef inline int put_held(Writer* w, PyObject* term) except -1:
    """Write a part of a container that an encoder of the user may change meanwhile."""
    cdef int opened
    incref(term)
    try:
        opened = put_term(w, term)
    finally:
        decref(term)
    return opened


cdef int write_list(Writer* w, Pending* top) except -1:
    """Write parts of a list until one opens a frame (1) or all are written (0)."""
    cdef PyObject* box = top.box
    cdef Py_ssize_t index = top.index, size = top.size
    while index < size:
        if index >= list_size(box):
            changed()
        top.index = index = index + 1
        if put_held(w, list_item(box, index - 1)):
            return 1
    if list_size(box) != size:
        changed()
    reserve(w, 1)
    w.data[w.used] = NIL
    w.used += 1
    return 0


cdef int write_tuple(Writer* w, Pending* top) except -1:
    cdef PyObject* box = top.box
    cdef Py_ssize_t index = top.index, size = top.size
    while index < size:
        top.index = index = index + 1
        if put_term(w, tuple_item(box, index - 1)):
            return 1
    return 0


cdef int write_map(Writer* w, Pending* top) except -1:
    cdef PyObject* key
    cdef PyObject* value
    while True:
        if top.module != NULL and (top.at == top.index or top.index == top.size) and top.value == NULL:
            put_atom(w, STRUCT_KEY)
            put_atom(w, top.module)
            decref(top.module)
            top.module = NULL
        if top.value != NULL:
            if top.keys >= CHECKED_KEYS:
                end_key(w)
            value = top.value
            top.value = NULL
            try:
                if put_term(w, value):
                    return 1
            finally:
                decref(value)
            continue
        if not dict_next(top.box, &top.next, &key, &value):
            if top.index != top.size:
                changed()
            if top.keys >= CHECKED_KEYS:
                check_keys(w, top)
            return 0
        top.index += 1
        if top.index > top.size:
            changed()
        incref(value)
        top.value = value
        if type_of(key) == ATOM_TYPE and top.keys <= PLAIN_KEYS:  # most keys: nothing of the user's runs meanwhile
            top.keys = PLAIN_KEYS
            put_atom(w, key)
            continue
        look_at_key(w, top, key)
        if put_held(w, key):
            return 1


cdef int write_pairs(Writer* w, Pending* top) except -1:
    """Write parts of a map that is kept as its keys and values in a row; its keys are compared."""
    cdef PyObject* box = top.box
    cdef Py_ssize_t index = top.index, size = top.size
    while index < size:
        if index & 1:
            end_key(w)
        else:
            begin_key(w)
        top.index = index = index + 1
        if put_term(w, tuple_item(box, index - 1)):
            return 1
    return check_keys(w, top)


cdef inline bint is_suspicious(Writer* w) noexcept:
    """Whether `look_at_depth` has anything to do: at a power of two, or one more, or in what is marked."""
    cdef Py_ssize_t depth = w.depth
    return depth > SUSPICIOUS_DEPTH and (
        w.stack[depth].owner == w.marked or not depth & (depth - 1) or not (depth - 1) & (depth - 2)
    )


cdef int look_at_depth(Writer* w) except -1:
    """Refuse a term that holds itself; see `_encode_py._check_depth`."""
    cdef PyObject* owner = w.stack[w.depth].owner
    cdef Py_ssize_t power = SUSPICIOUS_DEPTH, odd = 1
    if w.marked == owner and w.depth > w.marked_at and w.stack[w.marked_at].owner == owner:
        raise _TooDeep("a term that holds itself")
    while 2 * power <= w.depth:
        power *= 2
        odd ^= 1
    if w.depth == power + odd:
        w.marked = owner
        w.marked_at = w.depth
    return 0


cdef int write_all(Writer* w, PyObject* root) except -1:
    cdef Pending* top
    cdef int opened
    w.root = root
    opened = put_term(w, root)
    while w.depth >= 0:
        top = &w.stack[w.depth]
        if top.kind == OF_TUPLE:
            opened = write_tuple(w, top)
        elif top.kind == OF_LIST:
            opened = write_list(w, top)
        elif top.kind == OF_MAP:
            opened = write_map(w, top)
        elif top.kind == OF_PAIRS:
            opened = write_pairs(w, top)
        else:
            opened = write_tuple(w, top)
            if not opened:
                top = &w.stack[w.depth]
                store32(w.data + top.at + 1, <uint32_t>(w.used - top.at - 1))
                w.funs -= 1
        if not opened:
            end_frame(w)
        elif is_suspicious(w):
            look_at_depth(w)
    return 0


cdef size_t culprit_of(Writer* w) noexcept:
    """The address of the value that was being written when an error came: its `id`, as it need not be alive any more."""
    cdef Pending* top
    cdef PyObject* key = NULL
    cdef PyObject* value = NULL
    cdef Py_ssize_t i, at = 0
    if w.culprit != NULL:
        return <size_t>w.culprit
    if w.depth < 0:
        return <size_t>w.root
    top = &w.stack[w.depth]
    if top.kind == OF_MAP:
        for i in range(top.index):
            if not dict_next(top.box, &at, &key, &value):
                return 0
        return <size_t>(value if top.value == NULL else key)
    if not 0 < top.index <= (list_size(top.box) if top.kind == OF_LIST else tuple_size(top.box)):
        return 0
    return <size_t>(list_item(top.box, top.index - 1) if top.kind == OF_LIST else tuple_item(top.box, top.index - 1))


cdef int retold(Writer* w, object error, object term, object profile) except -1:
    """Raise what encoding promises for an error of any kind: an `EncodeError` with the path of the value it is about."""
    if isinstance(error, _NotWhole):
        raise error
    if isinstance(error, _Refused):  # with its path
        raise error
    cdef object made = error if isinstance(error, EncodeError) else _as_encode_error(error, term)
    raise _told(made, term, culprit_of(w), lambda part: written(part, profile)) from made.__cause__


cdef int written(object term, object profile) except -1:
    """Write a term for the sake of the error only."""
    cdef Writer w
    prepare(&w, profile)
    try:
        write_all(&w, <PyObject*>term)
    except Exception as error:
        if isinstance(error, EncodeError):
            raise
        raise _as_encode_error(error, term) from error
    finally:
        release(&w)
    return 0


cdef int prepare(Writer* w, object profile) except -1:
    w.erlang = is_erlang(profile)
    w.profile = <PyObject*>profile
    w.pieces = NULL
    w.cache = NULL
    w.funs = w.rounds = w.suspect = 0
    w.root = w.culprit = w.marked = NULL
    w.marked_at = 0
    w.spans = NULL
    w.spans_used = w.spans_room = 0
    w.stack = w.first
    w.depth = -1
    w.capacity = 16
    start(w)
    return 0


cdef object encoded(object term, object profile, bint version):
    cdef Writer w
    cdef int opened
    prepare(&w, profile)
    if version:
        w.data[0] = VERSION
        w.used = 1
    try:
        write_all(&w, <PyObject*>term)
        return finish(&w)
    except Exception as error:
        retold(&w, error, term, profile)
    finally:
        release(&w)


cdef object encoded_buffers(object term, object profile, bytes prefix, object check):
    cdef Writer w
    cdef list pieces = []
    prepare(&w, profile)
    w.pieces = <PyObject*>pieces
    try:
        put_object(&w, <PyObject*>prefix)
        write_all(&w, <PyObject*>term)
        if w.suspect and check is not None:
            check(term)
        if w.used or not pieces:
            pieces.append(finish(&w))
        return pieces
    except Exception as error:
        retold(&w, error, term, profile)
    finally:
        release(&w)


def encode_term(term, profile=_ELIXIR):
    """`term` without the leading 131, for a packet with a distribution header. Raises `EncodeError`."""
    return encoded(term, profile, False)


def encode_term_buffers(term, profile=_ELIXIR, bytes prefix not None=b"", check=None):
    """`prefix` and `term` as buffers to be sent one after the other: binaries of 64 KB and more are not copied."""
    return encoded_buffers(term, profile, prefix, check)


def encode_packet(bytes head not None, control, payload, check=None):
    """A packet with its length: buffers, and where in the first the payload begins. See `_encode_py.encode_packet`."""
    cdef Writer w
    cdef list pieces = []
    cdef object part = control
    cdef Py_ssize_t begins, size
    prepare(&w, ELIXIR)
    try:
        w.used = 4
        put_object(&w, <PyObject*>head)
        write_all(&w, <PyObject*>control)
        begins = w.used
        part = payload
        w.pieces = <PyObject*>pieces
        w.suspect = 0
        write_all(&w, <PyObject*>payload)
        if w.suspect and check is not None:
            check(payload)
        if w.used or not pieces:
            pieces.append(finish(&w))
        size = sum(map(len, pieces)) if len(pieces) > 1 else bytes_size(<PyObject*>pieces[0])
        # Nobody has seen the first buffer yet: it is filled in as it was while it was written.
        store32(<unsigned char*>bytes_text(<PyObject*>pieces[0]), <uint32_t>(size - 4))
        return pieces, begins
    except Exception as error:
        retold(&w, error, part, ELIXIR)
    finally:
        release(&w)


def encode(term, *, profile=_ELIXIR, compressed=False):
    """`term` in the External Term Format, as OTP 26 and later write it.

    `compressed` is a level of zlib (True means 6); what would not get shorter is left as it is.
    Raises `EncodeError`, whose `path` says where in the term the value stands that has no form.
    """
    if compressed is False:
        return encoded(term, profile, True)
    return _deflate(encoded(term, profile, False), 6 if compressed is True else compressed)


def encode_buffers(term, *, profile=_ELIXIR):
    """The same as buffers to be sent one after the other; binaries of 64 KB and more are not copied."""
    return encoded_buffers(term, profile, b"\x83", None)
