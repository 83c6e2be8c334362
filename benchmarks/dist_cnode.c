/* A C node on erl_interface that calls and sends, for bench_dist.py: what `ei` reaches is the yardstick there.
 *
 *   dist_cnode PEER COOKIE call COUNT WINDOW    calls to the server `bench`, WINDOW of them outstanding
 *   dist_cnode PEER COOKIE send COUNT           messages to it, and a call that they have all arrived
 *
 * Prints the microseconds of the wall and of its own CPU. Messages go to the registered name, as in Python's run. */
#include <arpa/inet.h>
#include <ei.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static ei_cnode node;
static int fd;

static void check(int result, const char *what) {
    if (result < 0) { fprintf(stderr, "dist_cnode: %s failed (erl_errno %d)\n", what, erl_errno); exit(1); }
}

static double clock_us(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void join(const char *peer, const char *cookie) {
    char alive[32], name[64];
    struct in_addr here = { .s_addr = htonl(INADDR_LOOPBACK) };
    snprintf(alive, sizeof alive, "c%d", (int)getpid());
    snprintf(name, sizeof name, "%s@127.0.0.1", alive);
    check(ei_connect_xinit(&node, "127.0.0.1", alive, name, &here, cookie, 1), "ei_connect_xinit");
    check(fd = ei_connect(&node, (char *)peer), "ei_connect");
}

static void send_call(ei_x_buff *out, const char *request) {
    erlang_ref ref;
    out->index = 0;
    check(ei_make_ref(&node, &ref), "ei_make_ref");
    ei_x_encode_version(out);
    ei_x_encode_tuple_header(out, 3);
    ei_x_encode_atom(out, "$gen_call");
    ei_x_encode_tuple_header(out, 2);
    ei_x_encode_pid(out, ei_self(&node));
    ei_x_encode_ref(out, &ref);
    ei_x_encode_atom(out, request);
    check(ei_reg_send(&node, fd, "bench", out->buff, out->index), "ei_reg_send");
}

static void send_tick(ei_x_buff *out, long number) {
    out->index = 0;
    ei_x_encode_version(out);
    ei_x_encode_tuple_header(out, 2);
    ei_x_encode_atom(out, "tick");
    ei_x_encode_long(out, number);
    check(ei_reg_send(&node, fd, "bench", out->buff, out->index), "ei_reg_send");
}

/* The answer {Ref, Term}: its term is left at in->index. */
static void answer(ei_x_buff *in) {
    erlang_msg message;
    erlang_ref ref;
    int result, version, arity;
    do {
        in->index = 0;
        result = ei_xreceive_msg(fd, &message, in);
    } while (result == ERL_TICK);
    if (result != ERL_MSG) check(-1, "ei_xreceive_msg");
    in->index = 0;
    check(ei_decode_version(in->buff, &in->index, &version), "version");
    check(ei_decode_tuple_header(in->buff, &in->index, &arity), "tuple");
    check(ei_decode_ref(in->buff, &in->index, &ref), "reference");
}

int main(int argc, char **argv) {
    ei_x_buff out, in;
    double wall, cpu;
    long count, sent = 0, done = 0, window = 1, counted;
    char text[MAXATOMLEN];
    if (argc < 5) { fprintf(stderr, "dist_cnode PEER COOKIE call|send COUNT [WINDOW]\n"); return 2; }
    count = atol(argv[4]);
    if (argc > 5) window = atol(argv[5]);
    ei_init();
    check(ei_x_new(&out), "ei_x_new");
    check(ei_x_new(&in), "ei_x_new");
    join(argv[1], argv[2]);
    send_call(&out, "count");
    answer(&in);
    wall = clock_us(CLOCK_MONOTONIC);
    cpu = clock_us(CLOCK_PROCESS_CPUTIME_ID);
    if (strcmp(argv[3], "call") == 0) {
        while (done < count) {
            while (sent < count && sent - done < window) { send_call(&out, "x"); sent++; }
            answer(&in);
            check(ei_decode_atom(in.buff, &in.index, text), "atom");
            done++;
        }
    } else {
        for (; sent < count; sent++) send_tick(&out, sent);
        send_call(&out, "count");
        answer(&in);
        check(ei_decode_long(in.buff, &in.index, &counted), "count");
        if (counted != count) check(-1, "counting");
    }
    printf("%.0f %.0f\n", clock_us(CLOCK_MONOTONIC) - wall, clock_us(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    ei_close_connection(fd);
    return 0;
}
