#include "workers.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_JOBS = 64, MAX_RESULT = 16 << 20, LOOK_MS = 200 };

/* A worker writes "INDEX LENGTH\n" and the result's JSON for each case; *next is shared by all. */
struct worker {
    pid_t pid;
    int from;
    char *at;
    size_t n, room;
};

static void fail_case(struct arena *arena, const struct scenario *scenario, struct str reason, struct result_case *ret)
{
    *ret = (struct result_case){.name = scenario_name(arena, scenario),
                                .id = scenario->id,
                                .variant = scenario->variant,
                                .path = scenario->path,
                                .title = scenario->title,
                                .outcome = OUTCOME_ERROR,
                                .reason = reason};
}

static bool write_all(int fd, struct str bytes)
{
    while (bytes.n) {
        ssize_t n = write(fd, bytes.at, bytes.n);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        bytes.at += n;
        bytes.n -= (size_t)n;
    }
    return true;
}

/* One process plays one case after another, until there are none. A real rehearsal gets a fresh child each, for network
 * namespaces cannot be left again. */
static void work(const struct rehearsal *how, struct scenario *const *cases, size_t n, size_t *next, int to)
{
    for (;;) {
        struct arena arena = {0};
        struct result_case result;
        size_t i = __atomic_fetch_add(next, 1, __ATOMIC_RELAXED);
        if (i >= n || rehearse_interrupted()) break;
        rehearse(&arena, how, cases[i], &result);
        struct str json = result_case_write(&arena, &result);
        if (!write_all(to, str_fmt(&arena, "%zu %zu\n", i, json.n)) || !write_all(to, json)) break;
        arena_done(&arena);
        if (how->mode == MODE_SERVER) break; /* the parent starts another */
    }
    rehearse_done();
    close(to);
    fflush(NULL);
    _exit(0);
}

static bool start(struct worker *worker, const struct rehearsal *how, struct scenario *const *cases, size_t n,
                  size_t *next)
{
    int ends[2];
    if (pipe(ends) != 0) return false;
    fflush(NULL);
    worker->pid = fork();
    if (worker->pid == 0) {
        close(ends[0]);
        prctl(PR_SET_PDEATHSIG, SIGTERM); /* no worker, and no program of its, outlives us */
        work(how, cases, n, next, ends[1]);
    }
    close(ends[1]);
    worker->from = ends[0];
    worker->n = 0;
    if (worker->pid > 0) return true;
    close(ends[0]);
    worker->from = -1;
    return false;
}

/* Takes whole results out of what a worker has written. */
static void take(struct arena *arena, struct worker *worker, struct result_case **results, size_t n)
{
    for (;;) {
        struct str all = {worker->at, worker->n}, head, rest, index_text, length_text;
        int64_t i, length;
        if (!worker->at || !str_cut(all, '\n', &head, &rest)) return;
        str_cut(head, ' ', &index_text, &length_text);
        if (!str_int(index_text, &i) || !str_int(length_text, &length) || (size_t)i >= n) {
            worker->n = 0;
            return;
        }
        if (rest.n < (size_t)length) return;
        struct result_case *result = ARENA_NEW(arena, struct result_case);
        if (result_case_read(arena, (struct str){rest.at, (size_t)length}, result) == OK) results[i] = result;
        size_t used = (size_t)(rest.at - worker->at) + (size_t)length;
        memmove(worker->at, worker->at + used, worker->n - used);
        worker->n -= used;
    }
}

/* Reads what is there. false: the worker has ended. */
static bool listen_to(struct worker *worker)
{
    if (worker->room - worker->n < 65536) {
        char *at = worker->room < MAX_RESULT ? realloc(worker->at, worker->room * 2 + 131072) : NULL;
        if (!at) return false;
        worker->at = at;
        worker->room = worker->room * 2 + 131072;
    }
    ssize_t n = read(worker->from, worker->at + worker->n, worker->room - worker->n);
    if (n < 0) return errno == EINTR;
    worker->n += (size_t)n;
    return n > 0;
}

static bool bury(struct worker *worker)
{
    int status = 0;
    close(worker->from);
    worker->from = -1;
    while (waitpid(worker->pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* A signal that came to us alone; their handlers are ours. */
static void interrupt_all(const struct worker *workers, int jobs)
{
    for (int k = 0; k < jobs; k++)
        if (workers[k].from >= 0) kill(workers[k].pid, SIGTERM);
}

struct queue {
    struct arena *arena;
    struct scenario *const *cases;
    struct result_case **results;
    size_t n, delivered;
    bool fail_fast, stop;
    result_fn *deliver;
    void *context;
};

static bool bad(const struct result_case *result)
{
    return result->outcome == OUTCOME_FAIL || result->outcome == OUTCOME_ERROR || result->outcome == OUTCOME_STALE;
}

/* Hands on what is known, in order. */
static void hand_on(struct queue *queue)
{
    for (; queue->delivered < queue->n && queue->results[queue->delivered] && !queue->stop; queue->delivered++) {
        struct result_case *result = queue->results[queue->delivered];
        queue->deliver(queue->context, queue->delivered, result);
        queue->stop = queue->fail_fast && bad(result);
    }
}

static void run_here(struct queue *queue, const struct rehearsal *how)
{
    for (size_t i = 0; i < queue->n && !queue->stop && !rehearse_interrupted(); i++) {
        queue->results[i] = ARENA_NEW(queue->arena, struct result_case);
        rehearse(queue->arena, how, queue->cases[i], queue->results[i]);
        hand_on(queue);
    }
}

static void run_apart(struct queue *queue, const struct rehearsal *how, int jobs)
{
    struct worker workers[MAX_JOBS] = {0};
    size_t *next = mmap(NULL, sizeof *next, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    size_t alive = 0;
    bool told = false;
    if (next == MAP_FAILED) return;
    if (jobs > MAX_JOBS) jobs = MAX_JOBS;
    for (int k = 0; k < jobs; k++) {
        workers[k].from = -1;
        if (start(&workers[k], how, queue->cases, queue->n, next)) alive++;
    }
    while (alive) {
        struct pollfd polled[MAX_JOBS];
        for (int k = 0; k < jobs; k++)
            polled[k] = (struct pollfd){.fd = workers[k].from, .events = POLLIN};
        int n_ready = poll(polled, (nfds_t)jobs, LOOK_MS); /* a signal may come just before it */
        if (n_ready < 0 && errno != EINTR) break;
        if (rehearse_interrupted() && !told) interrupt_all(workers, jobs);
        told = rehearse_interrupted();
        if (n_ready <= 0) continue;
        for (int k = 0; k < jobs; k++) {
            if (workers[k].from < 0 || !(polled[k].revents & (POLLIN | POLLHUP | POLLERR))) continue;
            bool talks = listen_to(&workers[k]);
            take(queue->arena, &workers[k], queue->results, queue->n);
            if (talks) continue;
            bury(&workers[k]);
            alive--;
            bool more = __atomic_load_n(next, __ATOMIC_RELAXED) < queue->n && !queue->stop && !rehearse_interrupted();
            if (more && start(&workers[k], how, queue->cases, queue->n, next)) alive++;
        }
        hand_on(queue);
        if (queue->stop || rehearse_interrupted()) __atomic_store_n(next, queue->n, __ATOMIC_RELAXED);
    }
    for (int k = 0; k < jobs; k++)
        free(workers[k].at);
    munmap(next, sizeof *next);
}

bool workers_run(struct arena *arena, const struct rehearsal *how, struct scenario *const *cases, size_t n, int jobs,
                 bool fail_fast, result_fn *deliver, void *context)
{
    struct queue queue = {.arena = arena,
                          .cases = cases,
                          .results = ARENA_ARRAY(arena, struct result_case *, n + 1),
                          .n = n,
                          .fail_fast = fail_fast,
                          .deliver = deliver,
                          .context = context};
    if (jobs <= 1 && how->mode == MODE_SIMULATE) run_here(&queue, how);
    else run_apart(&queue, how, jobs < 1 ? 1 : jobs);
    for (size_t i = queue.delivered; i < n && !queue.stop; i++) {
        if (!queue.results[i]) {
            queue.results[i] = ARENA_NEW(arena, struct result_case);
            fail_case(arena, cases[i],
                      rehearse_interrupted() ? STR("interrupted")
                                             : STR("the rehearsal ended without a result (it crashed)"),
                      queue.results[i]);
        }
        deliver(context, i, queue.results[i]);
    }
    return !rehearse_interrupted();
}
