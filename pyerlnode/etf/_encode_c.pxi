# The compiled encoder; part of `_codec_c.pyx`. See `_encode_py.py` for what it writes.

cdef enum:
    OF_TUPLE, OF_LIST, OF_MAP, OF_FUN
    FIRST = 1024
    PLAIN_KEYS = 1
    TEXT_KEYS = 2
    OTHER_KEYS = 4
    CHECKED_KEYS = 8

cdef struct Pending:
    PyObject* box       # the container whose parts are being written
    PyObject* value     # of a map: the value whose key is being written
    PyObject* module    # of a struct: the module, until __struct__ is written
    Py_ssize_t index
    Py_ssize_t size     # the parts that its head claims
    Py_ssize_t at       # of a struct: before which pair __struct__ stands; of a closure: where it begins
    Py_ssize_t next     # of a map: where PyDict_Next goes on
    int kind
    int keys            # of a map: the kinds of keys that were met

cdef struct Writer:
    unsigned char* data
    Py_ssize_t used
    Py_ssize_t room
    PyObject* made       # the bytes object that `data` is in; NULL while it is `small`
    PyObject* pieces     # a list: large binaries are handed out and not copied; else NULL
    PyObject* profile
    int erlang
    int funs             # closures that are open: their size is not known yet
    Pending* stack
    Py_ssize_t depth
    Py_ssize_t capacity
    Pending first[16]
    unsigned char small[FIRST]


# --- the output ---------------------------------------------------------------------------------
cdef int grow(Writer* w, Py_ssize_t size) except -1:
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


# --- frames -------------------------------------------------------------------------------------
cdef Pending* begin(Writer* w, int kind, PyObject* box, Py_ssize_t size) except NULL:
    """Open a frame over `box`, which is kept alive by it."""
    cdef Pending* grown
    cdef Pending* top
    if w.depth > MAX_DEPTH:
        raise _TooDeep(f"a term of more than {MAX_DEPTH} levels: it may hold itself")
    if w.depth + 1 == w.capacity:
        grown = <Pending*>raw_malloc(2 * w.capacity * sizeof(Pending))
        if grown == NULL:
            raise MemoryError
        memcpy(grown, w.stack, w.capacity * sizeof(Pending))
        if w.stack != w.first:
            raw_free(w.stack)
        w.stack = grown
        w.capacity *= 2
    w.depth += 1
    top = &w.stack[w.depth]
    incref(box)
    top.box = box
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
    xdecref(w.made)


# --- leaves -------------------------------------------------------------------------------------
cdef int wrong_parts(PyObject* term) except -1:
    raise EncodeError(f"a {type(<object>term).__name__} that is made of wrong parts")


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


cdef int put_name(Writer* w, PyObject* name, PyObject* term) except -1:
    if name == NULL or type_of(name) != ATOM_TYPE:
        wrong_parts(term)
    return put_object(w, get_slot(name, ATOM_WIRE))


cdef uint64_t number_of(PyObject* number, uint64_t most, PyObject* term) except? 18446744073709551615ULL:
    """An unsigned integer that is a part of `term`."""
    cdef object index
    cdef uint64_t value = 0
    if number == NULL:
        wrong_parts(term)
    try:
        index = (<object>number).__index__()
        value = index
    except (AttributeError, TypeError, ValueError, OverflowError):
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
    except TypeError:
        wrong_parts(term)
    words = <PyObject*>fixed
    count = tuple_size(words)
    if count > 5:
        raise EncodeError(f"a Reference of {count} words; it has at most 5")
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
        return put_object(w, get_slot(term, ATOM_WIRE))
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
            put_object(w, get_slot(STRUCT_KEY, ATOM_WIRE))
            put_object(w, get_slot(top.module, ATOM_WIRE))
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
