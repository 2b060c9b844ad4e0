#include "world/program.h"

#include "world/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GRACE_MS = 1000, LOOK_MS = 50, MAX_LINE = 64 * 1024 };

struct program {
    struct edge edge;
    struct addr word, to;
    pid_t pid;       /* of the process and of its group */
    int watch;       /* a pidfd, readable at its end; -1: looked at every LOOK_MS */
    int out;         /* its stdout; -1: in a file, or at its end */
    struct buf line; /* what of stdout was read and not yet given out */
    struct arena line_arena;
    int64_t limit_at_ms, kill_at_ms; /* ACTOR_IDLE: not planned */
    bool past_limit, ended, told;
    int wait_status;
};

/* ---- Starting ---- */

static char **environment(struct arena *arena, const char *const *added)
{
    static const char *const kept[] = {"PATH", "HOME", "LANG", "TMPDIR"};
    size_t n = 0, room = COUNTOF(kept) + 1;
    for (size_t i = 0; added && added[i]; i++)
        room++;
    char **env = ARENA_ARRAY(arena, char *, room);
    for (size_t i = 0; i < COUNTOF(kept); i++) {
        const char *value = getenv(kept[i]);
        bool replaced = false;
        for (size_t k = 0; added && added[k]; k++)
            replaced = replaced || (str_starts(str_c(added[k]), kept[i]) && added[k][strlen(kept[i])] == '=');
        if (value && !replaced) env[n++] = (char *)(uintptr_t)str_fmt(arena, "%s=%s", kept[i], value).at;
    }
    for (size_t i = 0; added && added[i]; i++)
        env[n++] = arena_copy(arena, added[i], strlen(added[i]));
    return env;
}

static int prepare_files(posix_spawn_file_actions_t *files, const struct program_options *options, const int out[2])
{
    int failed = posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0);
    if (options->log_file) {
        if (!failed)
            failed = posix_spawn_file_actions_addopen(files, 1, options->log_file, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        if (!failed) failed = posix_spawn_file_actions_adddup2(files, 1, 2);
    } else {
        if (!failed) failed = posix_spawn_file_actions_adddup2(files, out[1], 1);
        if (!failed) failed = posix_spawn_file_actions_addopen(files, 2, "/dev/null", O_WRONLY, 0);
    }
    if (!failed && options->folder) failed = posix_spawn_file_actions_addchdir_np(files, options->folder);
    return failed;
}

static int prepare_process(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    sigdelset(&all, SIGKILL);
    sigdelset(&all, SIGSTOP);
    int failed =
        posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (!failed) failed = posix_spawnattr_setpgroup(attributes, 0);
    if (!failed) failed = posix_spawnattr_setsigmask(attributes, &none);
    if (!failed) failed = posix_spawnattr_setsigdefault(attributes, &all);
    return failed;
}

static int spawn(struct program *program, const struct program_options *options, const int out[2])
{
    struct arena arena = {0};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    int failed = prepare_files(&files, options, out);
    if (!failed) failed = prepare_process(&attributes);
    if (!failed)
        failed = posix_spawnp(&program->pid, options->argv[0], &files, &attributes,
                              (char *const *)(uintptr_t)options->argv, environment(&arena, options->env));
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    arena_done(&arena);
    return failed;
}

/* ---- Watching ---- */

static void signal_group(const struct program *program, int signal_number)
{
    kill(-program->pid, signal_number);
}

/* The process is looked at before it is reaped: as long as it is a zombie its number, the group's, cannot be anybody
 * else's, and what it left behind in its group can be ended safely. */
static bool look(struct program *program)
{
    siginfo_t info = {0};
    if (program->ended) return true;
    if (waitid(P_PID, (id_t)program->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != program->pid)
        return false;
    signal_group(program, SIGKILL);
    while (waitpid(program->pid, &program->wait_status, 0) < 0 && errno == EINTR) {
    }
    program->ended = true;
    if (program->watch >= 0) close(program->watch);
    program->watch = -1;
    return true;
}

static void take_output(struct program *program)
{
    char piece[4096];
    ssize_t n = -1;
    while (program->out >= 0 && program->line.n < MAX_LINE && (n = read(program->out, piece, sizeof piece)) > 0)
        buf_add(&program->line, (struct str){piece, (size_t)n});
    if (program->out >= 0 && (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))) {
        close(program->out);
        program->out = -1;
    }
}

static void wait_for(struct program *program, int fd, int64_t limit_ms)
{
    struct pollfd fds[2] = {
        {.fd = program->watch, .events = POLLIN},
        {.fd = fd,             .events = POLLIN}
    };
    if (program->watch < 0 && limit_ms > LOOK_MS) limit_ms = LOOK_MS;
    poll(fds, 2, (int)(limit_ms < 0 ? 0 : limit_ms < 60000 ? limit_ms : 60000));
}

static struct str how_it_ended(const struct program *program, struct arena *arena)
{
    int status = program->wait_status;
    if (program->past_limit) return STR("ran past its time limit");
    if (WIFSIGNALED(status)) return str_fmt(arena, "killed by signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) == 0) return (struct str){0};
    return str_fmt(arena, WEXITSTATUS(status) == 77 ? "cannot do this (exit status %d)" : "gave up (exit status %d)",
                   WEXITSTATUS(status));
}

static void keep_limit(struct program *program, int64_t now_ms)
{
    if (now_ms >= program->limit_at_ms) {
        program->past_limit = true;
        program->limit_at_ms = ACTOR_IDLE;
        program->kill_at_ms = now_ms + GRACE_MS;
        signal_group(program, SIGTERM);
    }
    if (now_ms >= program->kill_at_ms) {
        program->kill_at_ms = ACTOR_IDLE;
        signal_group(program, SIGKILL);
    }
}

static void program_edge_send(struct edge *edge, struct hall *hall, struct msg *msg)
{
    (void)edge, (void)hall;
    msg_free(msg);
}

static void program_edge_prepare(struct edge *edge, struct edge_wait *wait)
{
    struct program *program = (struct program *)edge;
    int fds[] = {program->watch, program->out};
    int64_t due_ms = program->limit_at_ms < program->kill_at_ms ? program->limit_at_ms : program->kill_at_ms;
    if (program->ended) {
        if (program->told) return;
        due_ms = 0; /* it ended before the hall began */
    }
    for (size_t i = 0; i < COUNTOF(fds); i++) {
        if (fds[i] < 0 || fds[i] >= FD_SETSIZE) continue;
        FD_SET(fds[i], &wait->read);
        if (fds[i] > wait->max_fd) wait->max_fd = fds[i];
    }
    if (!program->ended && program->watch < 0 && clock_real_utc_ms() + LOOK_MS < due_ms)
        due_ms = clock_real_utc_ms() + LOOK_MS;
    if (due_ms < wait->due_ms) wait->due_ms = due_ms;
}

static void program_edge_ready(struct edge *edge, struct hall *hall, const struct edge_wait *wait)
{
    struct program *program = (struct program *)edge;
    (void)wait;
    if (program->told) return;
    if (program->out >= 0) {
        take_output(program);
        if (program->line.n >= MAX_LINE) { /* nobody reads lines any more: it must not block on a full pipe */
            arena_clear(&program->line_arena);
            program->line = (struct buf){.arena = &program->line_arena};
        }
    }
    if (!look(program)) {
        keep_limit(program, hall_now_ms(hall));
        return;
    }
    program->told = true;
    if (!program->word.seat) return;
    struct msg *msg = msg_new(MSG_EXIT);
    msg->from = program->word;
    msg->to = program->to;
    msg->flow = hall_next_flow(hall);
    msg->as.exit.reason = how_it_ended(program, &msg->arena);
    msg->as.exit.success = !msg->as.exit.reason.at;
    hall_arrive(hall, msg);
}

static void program_edge_free(struct edge *edge)
{
    program_free((struct program *)edge);
}

enum err program_start(const struct program_options *options, struct program **ret)
{
    int out[2] = {-1, -1};
    struct program *program = calloc(1, sizeof *program);
    if (!program) return ERR_IO;
    *program = (struct program){
        .edge = {program_edge_send, program_edge_prepare, program_edge_ready, program_edge_free},
        .word = options->word,
        .to = options->to,
        .watch = -1,
        .out = -1,
        .limit_at_ms = options->limit_ms > 0 ? clock_real_utc_ms() + options->limit_ms : ACTOR_IDLE,
        .kill_at_ms = ACTOR_IDLE
    };
    program->line.arena = &program->line_arena;
    int failed = !options->log_file && pipe2(out, O_CLOEXEC) != 0 ? errno : 0;
    if (!failed) failed = spawn(program, options, out);
    if (out[1] >= 0) close(out[1]);
    if (failed) {
        if (out[0] >= 0) close(out[0]);
        free(program);
        errno = failed;
        return failed == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    }
    program->out = out[0];
    if (program->out >= 0) fcntl(program->out, F_SETFL, O_NONBLOCK);
    program->watch = (int)syscall(SYS_pidfd_open, program->pid, 0); /* closed on exec by itself */
    if (program->watch >= FD_SETSIZE) {
        close(program->watch);
        program->watch = -1;
    }
    *ret = program;
    return OK;
}

struct edge *program_edge(struct program *program)
{
    return &program->edge;
}

bool program_ended(struct program *program, int *ret_exit_status)
{
    if (!look(program)) return false;
    bool exited = WIFEXITED(program->wait_status) && !program->past_limit;
    if (ret_exit_status) *ret_exit_status = exited ? WEXITSTATUS(program->wait_status) : -1;
    return true;
}

enum err program_line(struct program *program, int64_t limit_ms, struct arena *arena, struct str *ret_line)
{
    int64_t until_ms = clock_real_utc_ms() + limit_ms;
    for (;;) {
        struct str line, rest;
        take_output(program);
        if (str_cut(buf_str(&program->line), '\n', &line, &rest)) {
            *ret_line = str_copy(arena, line);
            struct buf left = {.arena = &program->line_arena};
            buf_add(&left, rest);
            program->line = left;
            return OK;
        }
        if (program->line.n >= MAX_LINE) return ERR_LIMIT;
        if (program->out < 0) return ERR_NOT_FOUND;
        int64_t left_ms = until_ms - clock_real_utc_ms();
        if (left_ms <= 0) return ERR_LIMIT;
        struct pollfd fd = {.fd = program->out, .events = POLLIN};
        poll(&fd, 1, (int)(left_ms < 60000 ? left_ms : 60000));
    }
}

void program_stop(struct program *program)
{
    if (look(program)) return;
    int64_t until_ms = clock_real_utc_ms() + GRACE_MS;
    signal_group(program, SIGTERM);
    while (!look(program) && clock_real_utc_ms() < until_ms)
        wait_for(program, -1, until_ms - clock_real_utc_ms());
    if (!program->ended) signal_group(program, SIGKILL);
    while (!look(program))
        wait_for(program, -1, GRACE_MS);
}

void program_free(struct program *program)
{
    if (!program) return;
    program_stop(program);
    if (program->out >= 0) close(program->out);
    if (program->watch >= 0) close(program->watch);
    arena_done(&program->line_arena);
    free(program);
}
