# Whole packets of the usual signals, straight between bytes and signals. Part of `_codec_c.pyx`; `_packets_py.py` says
# what the two classes promise. Nothing here decides: whatever is not quite usual is left to `dist.channel`.

cdef enum:
    HEADER = 68
    OP_REG_SEND = 6
    OP_MONITOR = 19
    OP_DEMONITOR = 20
    OP_SEND_SENDER = 22
    OP_ALIAS_SEND = 33
    OP_ALTACT_SEND = 37
    TO_ALIAS = 4
    MAX_REFERENCES = 255

cdef object _unused = Atom("")
cdef PyObject* ATOM_UNUSED = <PyObject*>_unused

cdef struct Shape:
    # The classes of the signals, borrowed, and their slots.
    PyObject* message
    PyObject* monitor
    PyObject* demonitor
    Py_ssize_t message_from, message_to, message_body, message_token, message_priority
    Py_ssize_t monitor_from, monitor_to, monitor_ref
    Py_ssize_t demonitor_from, demonitor_to, demonitor_ref


cdef int set_shape(Shape* s, tuple classes) except -1:
    message, monitor, demonitor = classes
    s.message, s.monitor, s.demonitor = <PyObject*>message, <PyObject*>monitor, <PyObject*>demonitor
    s.message_from, s.message_to = slot_of(message, "from_"), slot_of(message, "to")
    s.message_body = slot_of(message, "message")
    s.message_token, s.message_priority = slot_of(message, "token"), slot_of(message, "priority")
    s.monitor_from, s.monitor_to, s.monitor_ref = slot_of(monitor, "from_"), slot_of(monitor, "to"), slot_of(monitor, "ref")
    s.demonitor_from, s.demonitor_to = slot_of(demonitor, "from_"), slot_of(demonitor, "to")
    s.demonitor_ref = slot_of(demonitor, "ref")
    return 0


# --- reading --------------------------------------------------------------------------------------
cdef Py_ssize_t read_references(Reader* r, PyObject** found, Py_ssize_t at, list slots, object empty) except -1:
    """The atoms of the header whose N is at `at`, and where the terms begin; 0 when one of them is new or unknown."""
    cdef Py_ssize_t count = r.data[at], flags = at + 1, first = flags + count // 2 + 1, i
    cdef unsigned int nibble
    cdef PyObject* atom
    r.refs = found
    r.refs_count = count
    if not count:
        return at + 1
    if first + count > r.size:
        return 0
    for i in range(count):
        nibble = r.data[flags + (i >> 1)] >> (4 if i & 1 else 0) & 15
        if nibble & 8:
            return 0
        atom = list_item(<PyObject*>slots, <Py_ssize_t>(nibble << 8 | r.data[first + i]))
        if atom == <PyObject*>empty:
            return 0
        found[i] = atom
    return first + count


cdef inline bint is_tag(Reader* r, Py_ssize_t at, int tag) noexcept:
    return at < r.size and r.data[at] == tag


cdef PyObject* read_pid_or_none(Reader* r, Py_ssize_t* at) except? NULL:
    """The pid at `at`, a new reference; NULL without an error when something else stands there."""
    return read_pid(r, at) if is_tag(r, at[0], NEW_PID) else NULL


cdef bint skip_unused(Reader* r, Py_ssize_t* at) noexcept:
    """Go past the empty atom that stands where a cookie once did; False when something else stands there."""
    cdef const unsigned char* p = r.data + at[0]
    if r.size - at[0] < 2:
        return False
    if (p[0] == ATOM_CACHE_REF and p[1] < r.refs_count) or ((p[0] == SMALL_ATOM_UTF8 or p[0] == SMALL_ATOM) and not p[1]):
        at[0] += 2
        return True
    return False


cdef object read_monitor(Reader* r, Shape* s, Py_ssize_t* at, int op, object node):
    """The rest of a MONITOR_P or DEMONITOR_P; None when it is not a usual one."""
    cdef bint begins = op == OP_MONITOR
    cdef object made = taken(new_object(s.monitor if begins else s.demonitor))
    cdef PyObject* value = read_pid_or_none(r, at)
    if value == NULL:
        return None
    set_slot(<PyObject*>made, s.monitor_from if begins else s.demonitor_from, value)
    if get_slot(value, PID_NODE) != <PyObject*>node:
        return None
    value = read_pid(r, at) if is_tag(r, at[0], NEW_PID) else read_name(r, at)
    set_slot(<PyObject*>made, s.monitor_to if begins else s.demonitor_to, value)
    if not is_tag(r, at[0], NEWER_REFERENCE):
        return None
    set_slot(<PyObject*>made, s.monitor_ref if begins else s.demonitor_ref, read_reference(r, at))
    return made if at[0] == r.size else None


cdef object read_message(Reader* r, Shape* s, Py_ssize_t* at, int op, int arity):
    """The rest of an operation that carries a message, and its payload; None when it is not a usual one."""
    cdef object made = taken(new_object(s.message))
    cdef PyObject* message = <PyObject*>made
    cdef PyObject* value
    cdef object payload
    if op == OP_ALTACT_SEND:  # with exactly this flag: no token, no priority, no exit
        if arity != 4 or r.size - at[0] < 2 or r.data[at[0]] != SMALL_INTEGER or r.data[at[0] + 1] != TO_ALIAS:
            return None
        at[0] += 2
    elif arity != (4 if op == OP_REG_SEND else 3):
        return None
    value = read_pid_or_none(r, at)
    if value == NULL:
        return None
    set_slot(message, s.message_from, value)
    if op == OP_SEND_SENDER:
        value = read_pid_or_none(r, at)
        if value == NULL:
            return None
    elif op == OP_REG_SEND:
        if not skip_unused(r, at):
            return None
        value = read_name(r, at)
    else:
        if not is_tag(r, at[0], NEWER_REFERENCE):
            return None
        value = read_reference(r, at)
    set_slot(message, s.message_to, value)
    if at[0] >= r.size:
        return None
    payload = run(r, at)
    set_slot(message, s.message_body, own(payload))
    incref(py_none)
    set_slot(message, s.message_token, py_none)
    incref(py_false)
    set_slot(message, s.message_priority, py_false)
    return made


cdef object read_usual(Reader* r, Shape* s, Py_ssize_t at, object node):
    """The signal whose control message is at `at`; None when it is not a usual one. May raise `DecodeError`."""
    cdef int arity, op
    if r.size - at < 4 or r.data[at] != SMALL_TUPLE or r.data[at + 2] != SMALL_INTEGER:
        return None
    arity, op = r.data[at + 1], r.data[at + 3]
    at += 4
    if op == OP_SEND_SENDER or op == OP_REG_SEND or op == OP_ALTACT_SEND or op == OP_ALIAS_SEND:
        return read_message(r, s, &at, op, arity)
    if (op == OP_MONITOR or op == OP_DEMONITOR) and arity == 4:
        return read_monitor(r, s, &at, op, node)
    return None


cdef class PacketReader:
    """See `_packets_py.PacketReader`."""

    cdef Shape shape
    cdef object classes, node, empty, budget, limits
    cdef list slots
    cdef Py_ssize_t most

    def __init__(self, tuple classes not None, node, list slots not None, empty, budget, limits):
        set_shape(&self.shape, classes)
        self.classes = classes
        self.node = node
        self.slots = slots
        self.empty = empty
        self.budget = budget
        self.limits = limits
        self.most = limits.frame_size

    def read(self, bytes data not None, Py_ssize_t at, list events not None):
        cdef Reader r
        cdef PyObject* references[MAX_REFERENCES]
        cdef Py_ssize_t size = bytes_size(<PyObject*>data), length, terms
        cdef object made
        r.data = <const unsigned char*>bytes_text(<PyObject*>data)
        r.erlang = 0
        r.atoms = NULL
        r.loose = NULL
        r.budget = <PyObject*>self.budget
        set_limits(&r, self.limits)
        while size - at >= 4:
            length = load32(r.data + at)
            if length < 7 or length > self.most or length > size - at - 4:
                break
            if r.data[at + 4] != VERSION or r.data[at + 5] != HEADER:
                break
            r.size = at + 4 + length
            r.at = at
            try:
                terms = read_references(&r, references, at + 6, self.slots, self.empty)
                made = read_usual(&r, &self.shape, terms, self.node) if terms else None
            except DecodeError:  # told by the one who reads it again, with all that belongs to it
                made = None
            if made is None:
                if r.loose != NULL:
                    decref(r.loose)
                break
            events.append(made)
            at = r.size
        return at


# --- writing --------------------------------------------------------------------------------------
cdef object finish_packet(Writer* w):
    """The packet of what was written, with its length and its header; from now on the peer knows the atoms of it."""
    cdef Cache* c = w.cache
    cdef Py_ssize_t size = w.used + 7, at = 7, flags = 7, i
    cdef PyObject* wire
    cdef PyObject* made
    cdef unsigned char* p
    for i in range(c.count):
        size += 1 if c.sent[c.slots[i]] == c.atoms[i] else bytes_size(get_slot(c.atoms[i], ATOM_WIRE))
    if c.count:
        at += c.count // 2 + 1
        size += c.count // 2 + 1
    made = new_bytes(NULL, size)
    p = <unsigned char*>bytes_text(made)
    store32(p, <uint32_t>(size - 4))
    p[4], p[5], p[6] = VERSION, HEADER, <unsigned char>c.count
    for i in range(flags, at):
        p[i] = 0
    for i in range(c.count):
        p[flags + (i >> 1)] |= (c.slots[i] >> 8) << (4 if i & 1 else 0)
        p[at] = c.slots[i] & 255
        at += 1
        if c.sent[c.slots[i]] != c.atoms[i]:
            p[flags + (i >> 1)] |= 8 << (4 if i & 1 else 0)
            wire = get_slot(c.atoms[i], ATOM_WIRE)  # the tag, then length and text as a new entry has them
            memcpy(p + at, bytes_text(wire) + 1, bytes_size(wire) - 1)
            at += bytes_size(wire) - 1
            c.sent[c.slots[i]] = c.atoms[i]
    memcpy(p + at, w.data, w.used)
    return taken(made)


cdef class PacketWriter:
    """See `_packets_py.PacketWriter`."""

    cdef Shape shape
    cdef Cache atoms
    cdef object classes, check
    cdef list spare
    cdef Py_ssize_t whole
    cdef bint send_sender, altact, monitors, names, cache
    cdef bint writing
    cdef readonly Py_ssize_t count

    def __init__(
        self, tuple classes not None, Py_ssize_t whole, bint send_sender, bint altact, bint monitors, bint names,
        bint cache, check=None,
    ):
        self.check = check
        set_shape(&self.shape, classes)
        self.classes = classes
        self.whole = whole
        self.send_sender = send_sender
        self.altact = altact
        self.monitors = monitors
        self.names = names
        self.cache = cache
        self.writing = False
        self.count = 0
        self.spare = []

    def write(self, signal, bint in_order=True):
        # An encoder of the user that sends itself would change the references of the packet around it.
        if self.cache and in_order and not self.writing:
            self.writing = True
            try:
                return self.made(signal, True)
            except _NotWhole:
                pass
            finally:
                self.writing = False
        return self.made(signal, False)

    cdef object made(self, object signal, bint cached):
        cdef Writer w
        cdef PyObject* given = <PyObject*>signal
        prepare(&w, ELIXIR)
        if cached:
            self.atoms.packet += 1
            if not self.atoms.packet:  # after four thousand million of them
                memset(self.atoms.stamp, 0, sizeof(self.atoms.stamp))
                self.atoms.packet = 1
            self.atoms.count = 0
            w.cache = &self.atoms
            w.most = self.whole + 4096
        else:
            w.data[4], w.data[5], w.data[6] = VERSION, HEADER, 0
            w.used = 7
        try:
            try:
                if not self.put_control(&w, given):
                    return None
            except EncodeError:  # told by the one who tries it again
                return None
            if type_of(given) != self.shape.message:
                return self.packet(&w)
            return self.put_payload(&w, <object>get_slot(given, self.shape.message_body))
        finally:
            release(&w)

    cdef object packet(self, Writer* w):
        self.count += 1
        if w.cache != NULL:
            return finish_packet(w)
        store32(w.data, <uint32_t>(w.used - 4))
        return finish(w)

    cdef int put_control(self, Writer* w, PyObject* signal) except -1:
        """The control message; 0 when it is not a usual one."""
        cdef Shape* s = &self.shape
        cdef PyObject* kind = type_of(signal)
        if kind == s.message:
            return self.put_message_head(w, signal)
        if kind == s.monitor:
            return self.put_monitor(w, OP_MONITOR, signal, s.monitor_from, s.monitor_to, s.monitor_ref)
        if kind == s.demonitor:
            return self.put_monitor(w, OP_DEMONITOR, signal, s.demonitor_from, s.demonitor_to, s.demonitor_ref)
        return 0

    cdef int put_message_head(self, Writer* w, PyObject* message) except -1:
        """The control message; 0 when it is not a usual one."""
        cdef PyObject* from_ = get_slot(message, self.shape.message_from)
        cdef PyObject* to = get_slot(message, self.shape.message_to)
        cdef PyObject* kind
        if (
            from_ == NULL or to == NULL or type_of(from_) != PID_TYPE
            or get_slot(message, self.shape.message_body) == NULL
            or get_slot(message, self.shape.message_token) != py_none
            or get_slot(message, self.shape.message_priority) != py_false
        ):
            return 0
        kind = type_of(to)
        if kind == PID_TYPE and self.send_sender:
            put_operation(w, 3, OP_SEND_SENDER)
            put_pid(w, from_)
            put_pid(w, to)
        elif kind == ATOM_TYPE:
            put_operation(w, 4, OP_REG_SEND)
            put_pid(w, from_)
            put_atom(w, ATOM_UNUSED)
            put_atom(w, to)
        elif kind == REFERENCE_TYPE and self.altact:
            put_operation(w, 4, OP_ALTACT_SEND)
            w.data[w.used], w.data[w.used + 1] = SMALL_INTEGER, TO_ALIAS
            w.used += 2
            put_pid(w, from_)
            put_reference(w, to)
        else:
            return 0
        return 1

    cdef int put_monitor(
        self, Writer* w, int op, PyObject* signal, Py_ssize_t from_slot, Py_ssize_t to_slot, Py_ssize_t ref_slot
    ) except -1:
        """All of a MONITOR_P or DEMONITOR_P; 0 when it is not a usual one."""
        cdef PyObject* from_ = get_slot(signal, from_slot)
        cdef PyObject* to = get_slot(signal, to_slot)
        cdef PyObject* ref = get_slot(signal, ref_slot)
        if from_ == NULL or to == NULL or ref == NULL:
            return 0
        if type_of(from_) != PID_TYPE or type_of(ref) != REFERENCE_TYPE or not self.monitors:
            return 0
        put_operation(w, 4, op)
        put_pid(w, from_)
        if type_of(to) == PID_TYPE:
            put_pid(w, to)
        elif type_of(to) == ATOM_TYPE and self.names:
            put_atom(w, to)
        else:
            return 0
        put_reference(w, ref)
        return 1

    cdef object put_payload(self, Writer* w, object payload):
        """The whole packet, or its parts when they are to go in fragments."""
        cdef Py_ssize_t begins = w.used, size
        cdef list pieces = self.spare
        if pieces is None:  # an encoder of the user, called further down, sends too
            pieces = []
        self.spare = None
        w.pieces = <PyObject*>pieces
        try:
            write_all(w, <PyObject*>payload)
            if w.suspect and self.check is not None:
                self.check(payload)
        except Exception as error:
            retold(w, error, payload, ELIXIR)
        if not pieces and w.used - begins <= self.whole:
            self.spare = pieces
            return self.packet(w)
        if w.cache != NULL:
            raise _NotWhole
        if w.used or not pieces:
            pieces.append(finish(w))
        size = sum(map(len, pieces))
        store32(<unsigned char*>bytes_text(<PyObject*>pieces[0]), <uint32_t>(size - 4))
        return pieces, begins


cdef inline int put_operation(Writer* w, int arity, int op) except -1:
    """The beginning of a control message, with room for two bytes more."""
    reserve(w, 6)
    w.data[w.used] = SMALL_TUPLE
    w.data[w.used + 1] = arity
    w.data[w.used + 2] = SMALL_INTEGER
    w.data[w.used + 3] = op
    w.used += 4
    return 0
