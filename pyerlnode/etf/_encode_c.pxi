# The compiled encoder's containers, its loop and its door. Part of `_codec_c.pyx`.

# --- containers: their heads are written here, their parts by the loop ---------------------------
cdef inline int look_at_key(Writer* w, Pending* top, PyObject* key) except -1:
    """Ask `check_keys` of `common`, once for a map, when keys that differ in Python may be one on the wire."""
    cdef PyObject* kind = type_of(key)
    if (
        kind == ATOM_TYPE or kind == BYTES or kind == LONG or kind == FLOAT_TYPE or kind == PID_TYPE
        or kind == PORT_TYPE or kind == REFERENCE_TYPE
    ):
        top.keys |= PLAIN_KEYS
    else:
        top.keys |= TEXT_KEYS if kind == STR else OTHER_KEYS
    if PLAIN_KEYS + TEXT_KEYS <= top.keys < CHECKED_KEYS:
        top.keys = CHECKED_KEYS
        _check_keys(<object>top.box, encode_term, <object>w.profile)
    return 0


cdef int begin_flat(Writer* w, object parts) except -1:
    """Go on with the parts of a sequence, as those of a tuple whose head is written."""
    cdef tuple fixed = parts if type(parts) is tuple else tuple(parts)
    begin(w, OF_TUPLE, <PyObject*>fixed, tuple_size(<PyObject*>fixed))
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
            return 1
        _check_keys(rest, encode_term, <object>w.profile)
        pairs = list(rest.items())
        pairs.insert(place, (_STRUCT_KEY, <object>module))
        put_head(w, MAP, len(pairs))
        return begin_flat(w, _chain.from_iterable(pairs))
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, EncodeError):
            raise
        wrong_parts(term)


cdef int put_improper(Writer* w, PyObject* term) except -1:
    cdef PyObject* items = get_slot(term, IMPROPER_ITEMS)
    cdef PyObject* tail = get_slot(term, IMPROPER_TAIL)
    cdef object fixed
    if items == NULL or tail == NULL:
        wrong_parts(term)
    try:
        fixed = tuple(<object>items)
    except TypeError:
        wrong_parts(term)
    if not fixed:
        return begin_flat(w, (<object>tail,))
    put_head(w, LIST, len(fixed))
    return begin_flat(w, fixed + (<object>tail,))


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
    reserve(w, 1)
    w.data[w.used] = 1 if term.exported else 0
    w.used += 1
    for name in (term.module, term.name, *names):
        put_name(w, <PyObject*>name, <PyObject*>term)
    return begin_flat(w, values)


cdef int put_termmap(Writer* w, object term) except -1:
    pairs = term.pairs
    _check_keys([key for key, _ in pairs], encode_term, <object>w.profile)
    put_head(w, MAP, len(pairs))
    return begin_flat(w, _chain.from_iterable(pairs))


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
    for rounds in range(1000):
        try:
            done = put_known(w, term, type(term))
        except (AttributeError, TypeError, ValueError, OverflowError, _struct.error) as error:
            if isinstance(error, EncodeError):
                raise
            raise EncodeError(f"a {type(term).__name__} that is made of wrong parts") from error
        if done != 2:
            return done
        other = _simplify(term)
        if type(other) is not type(term):
            return put_term(w, <PyObject*>other)
        term = other
    raise _TooDeep(f"a {type(term).__name__} whose encoder never comes to an end")


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
    raise EncodeError("a container that was changed while it was encoded")


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
            return 0
        top.index += 1
        if top.index > top.size:
            changed()
        incref(value)
        top.value = value
        look_at_key(w, top, key)
        if put_held(w, key):
            return 1


cdef int write_all(Writer* w, PyObject* root) except -1:
    cdef Pending* top
    cdef int opened = put_term(w, root)
    while w.depth >= 0:
        top = &w.stack[w.depth]
        if top.kind == OF_TUPLE:
            opened = write_tuple(w, top)
        elif top.kind == OF_LIST:
            opened = write_list(w, top)
        elif top.kind == OF_MAP:
            opened = write_map(w, top)
        else:
            opened = write_tuple(w, top)
            if not opened:
                top = &w.stack[w.depth]
                store32(w.data + top.at + 1, <uint32_t>(w.used - top.at - 1))
                w.funs -= 1
        if not opened:
            end_frame(w)
    return 0


cdef object located(object error, object term, object profile):
    """The same error with the path of the value that has no form."""
    path = "" if type(error) is _TooDeep else _locate(term, lambda part: encode_term(part, profile))
    raise EncodeError(str(error), path) from error.__cause__


cdef int prepare(Writer* w, object profile) except -1:
    w.erlang = is_erlang(profile)
    w.profile = <PyObject*>profile
    w.pieces = NULL
    w.cache = NULL
    w.funs = 0
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
    except EncodeError as error:
        located(error, term, profile)
    finally:
        release(&w)


cdef object encoded_buffers(object term, object profile, bytes prefix):
    cdef Writer w
    cdef list pieces = []
    prepare(&w, profile)
    w.pieces = <PyObject*>pieces
    try:
        put_object(&w, <PyObject*>prefix)
        write_all(&w, <PyObject*>term)
        if w.used or not pieces:
            pieces.append(finish(&w))
        return pieces
    except EncodeError as error:
        located(error, term, profile)
    finally:
        release(&w)


def encode_term(term, profile=_ELIXIR):
    """`term` without the leading 131, for a packet with a distribution header. Raises `EncodeError`."""
    return encoded(term, profile, False)


def encode_term_buffers(term, profile=_ELIXIR, bytes prefix not None=b""):
    """`prefix` and `term` as buffers to be sent one after the other: binaries of 64 KB and more are not copied."""
    return encoded_buffers(term, profile, prefix)


def encode_packet(bytes head not None, control, payload):
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
        write_all(&w, <PyObject*>payload)
        if w.used or not pieces:
            pieces.append(finish(&w))
        size = sum(map(len, pieces)) if len(pieces) > 1 else bytes_size(<PyObject*>pieces[0])
        # Nobody has seen the first buffer yet: it is filled in as it was while it was written.
        store32(<unsigned char*>bytes_text(<PyObject*>pieces[0]), <uint32_t>(size - 4))
        return pieces, begins
    except EncodeError as error:
        located(error, part, ELIXIR)
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
    return encoded_buffers(term, profile, b"\x83")
