#include "plan/paper.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COMPLAINT_MAX = 400 };

static bool same_complaint(const struct complaint *a, const struct complaint *b)
{
    return a->line == b->line && a->column == b->column && str_eq(a->text, b->text) && str_eq(a->file, b->file);
}

/* One line of plain text, whatever the file had in it. */
static struct str tidy(struct arena *arena, struct str text)
{
    bool cut = text.n > COMPLAINT_MAX;
    if (cut) {
        text.n = COMPLAINT_MAX;
        while (text.n && ((unsigned char)text.at[text.n - 1] & 0xc0) == 0x80)
            text.n--;
        if (text.n && (unsigned char)text.at[text.n - 1] >= 0xc0) text.n--;
    }
    struct str copy = cut ? str_fmt(arena, "%.*s...", STR_ARGS(text)) : str_copy(arena, text);
    char *at = (char *)copy.at;
    for (size_t i = 0; i < copy.n; i++)
        if ((unsigned char)at[i] < 0x20 || at[i] == 0x7f) at[i] = '?';
    return copy;
}

static void keep(struct complaints *complaints, struct complaint complaint)
{
    size_t kept = complaints->n < COMPLAINTS_KEPT ? complaints->n : COMPLAINTS_KEPT;
    complaint.text = tidy(complaints->arena, complaint.text);
    for (size_t i = 0; i < kept; i++)
        if (same_complaint(&complaints->at[i], &complaint)) return;
    complaints->n++;
    if (kept == COMPLAINTS_KEPT) return;
    if (kept == complaints->room) {
        size_t room = complaints->room ? complaints->room * 2 : 8;
        struct complaint *at = ARENA_ARRAY(complaints->arena, struct complaint, room);
        if (kept) memcpy(at, complaints->at, kept * sizeof *at);
        complaints->at = at;
        complaints->room = room;
    }
    complaint.file = str_copy(complaints->arena, complaint.file);
    complaints->at[kept] = complaint;
}

static void vcomplain(struct complaints *complaints, struct str file, int line, int column, const char *fmt, va_list ap)
{
    if (complaints->n >= COMPLAINTS_KEPT) {
        complaints->n++;
        return;
    }
    keep(complaints, (struct complaint){file, line, column, str_vfmt(complaints->arena, fmt, ap)});
}

void complain(struct complaints *complaints, struct str file, int line, int column, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vcomplain(complaints, file, line, column, fmt, ap);
    va_end(ap);
}

/* A value on the page: byte offsets, and its place in the tree. Spot 0 is the root. */
struct spot {
    uint32_t at;                /* first byte of the value */
    uint32_t key_at, key_n;     /* between the quotes; key_at 0 = no key */
    uint32_t first, last, next; /* children and sibling; 0 = none */
};

static void line_column(struct str text, size_t at, int *ret_line, int *ret_column)
{
    int line = 1, column = 1;
    if (at > text.n) at = text.n;
    for (size_t i = 0; i < at; i++) {
        if (text.at[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)text.at[i] & 0xc0) != 0x80) {
            column++;
        }
    }
    *ret_line = line;
    *ret_column = column;
}

struct pass {
    struct arena *arena;
    struct str text;
    size_t i;
    struct spot *spots;
    size_t n, room;
};

static uint32_t spot_new(struct pass *pass)
{
    if (pass->n == pass->room) {
        size_t room = pass->room ? pass->room * 2 : 64;
        struct spot *spots = ARENA_ARRAY(pass->arena, struct spot, room);
        if (pass->n) memcpy(spots, pass->spots, pass->n * sizeof *spots);
        pass->spots = spots;
        pass->room = room;
    }
    return (uint32_t)pass->n++;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int pass_peek(struct pass *pass)
{
    while (pass->i < pass->text.n && blank(pass->text.at[pass->i]))
        pass->i++;
    return pass->i < pass->text.n ? (unsigned char)pass->text.at[pass->i] : -1;
}

/* Past the string that starts at .i; false when it does not end. */
static bool pass_string(struct pass *pass)
{
    for (pass->i++; pass->i < pass->text.n; pass->i++) {
        if (pass->text.at[pass->i] == '\\') {
            pass->i++;
        } else if (pass->text.at[pass->i] == '"') {
            pass->i++;
            return true;
        }
    }
    return false;
}

/* Notes where everything stands. It need not judge: where the text is not JSON it stops, and the parser says why.
 * ERR_LIMIT: too deep or too many values, at .i. */
static enum err pass_run(struct pass *pass)
{
    uint32_t stack[PAPER_MAX_DEPTH];
    size_t depth = 0;
    bool opened = false; /* just after a bracket: no comma is due */
    for (;;) {
        int c = pass_peek(pass);
        size_t key_at = 0, key_n = 0;
        if (depth) {
            bool object = pass->text.at[pass->spots[stack[depth - 1]].at] == '{';
            if (c == (object ? '}' : ']')) {
                pass->i++;
                opened = false;
                if (--depth == 0) return OK;
                continue;
            }
            if (!opened) {
                if (c != ',') return OK;
                pass->i++;
                c = pass_peek(pass);
            }
            if (object) {
                if (c != '"') return OK;
                key_at = pass->i + 1;
                if (!pass_string(pass)) return OK;
                key_n = pass->i - 1 - key_at;
                if (pass_peek(pass) != ':') return OK;
                pass->i++;
                c = pass_peek(pass);
            }
        }
        if (c < 0) return OK;
        if (pass->n >= PAPER_MAX_VALUES) return ERR_LIMIT;
        uint32_t me = spot_new(pass);
        pass->spots[me] = (struct spot){.at = (uint32_t)pass->i, .key_at = (uint32_t)key_at, .key_n = (uint32_t)key_n};
        if (depth) {
            struct spot *parent = &pass->spots[stack[depth - 1]];
            if (parent->last) pass->spots[parent->last].next = me;
            else parent->first = me;
            parent->last = me;
        }
        opened = c == '{' || c == '[';
        if (opened) {
            if (depth == PAPER_MAX_DEPTH) return ERR_LIMIT;
            stack[depth++] = me;
            pass->i++;
        } else if (c == '"') {
            if (!pass_string(pass)) return OK;
        } else {
            while (pass->i < pass->text.n && !blank(pass->text.at[pass->i]) &&
                   !strchr(",]}[{:\"", pass->text.at[pass->i]))
                pass->i++;
        }
        if (!depth) return OK;
    }
}

static size_t first_bad_byte(struct str text)
{
    size_t low = 0, high = text.n; /* text[0..low) is good, text[0..high) is not, up to a sequence cut at the end */
    while (high - low > 8) {
        size_t middle = low + (high - low) / 2;
        while (middle > low && ((unsigned char)text.at[middle] & 0xc0) == 0x80)
            middle--;
        if (middle > low && str_utf8((struct str){text.at + low, middle - low})) low = middle;
        else if (middle > low) high = middle;
        else break;
    }
    while (low < high) {
        size_t n = 1;
        while (n <= 4 && low + n <= text.n && !str_utf8((struct str){text.at + low, n}))
            n++;
        if (n > 4 || low + n > text.n) return low;
        low += n;
    }
    return low;
}

/* The parser's own words, without the odd part. */
static void complain_syntax(struct complaints *complaints, const struct paper *paper, const json_error_t *error)
{
    int line, column;
    size_t at = error->position > 0 ? (size_t)error->position : 0;
    if (json_error_code(error) == json_error_duplicate_key) {
        size_t key = 0;
        struct str name = {0};
        for (size_t i = 0; i < paper->n_spots; i++)
            if (paper->spots[i].key_at && paper->spots[i].key_at < at && paper->spots[i].key_at > key) {
                key = paper->spots[i].key_at;
                name = (struct str){paper->text.at + key, paper->spots[i].key_n};
            }
        line_column(paper->text, key ? key - 1 : at, &line, &column);
        complain(complaints, paper->path, line, column, "the key \"%.*s\" stands twice in one object", STR_ARGS(name));
        return;
    }
    if (json_error_code(error) == json_error_premature_end_of_input) {
        line_column(paper->text, paper->text.n, &line, &column);
        complain(complaints, paper->path, line, column, "not JSON: the file ends too early");
        return;
    }
    line_column(paper->text, at ? at - 1 : 0, &line, &column);
    complain(complaints, paper->path, line, column, "not JSON: %s", error->text);
}

enum err paper_parse(struct arena *arena, struct str path, struct str text, struct complaints *complaints,
                     struct paper *ret)
{
    int line, column;
    *ret = (struct paper){.path = str_copy(arena, path), .text = text};
    if (text.n > PAPER_MAX_BYTES) {
        complain(complaints, path, 0, 0, "larger than %d MiB", PAPER_MAX_BYTES >> 20);
        return ERR_LIMIT;
    }
    const char *nul = text.n ? memchr(text.at, 0, text.n) : NULL;
    if (nul) {
        line_column(text, (size_t)(nul - text.at), &line, &column);
        complain(complaints, path, line, column, "not JSON: a NUL byte");
        return ERR_MALFORMED;
    }
    if (str_starts(text, "\xef\xbb\xbf")) {
        complain(complaints, path, 1, 1, "not JSON: the file starts with a byte order mark");
        return ERR_MALFORMED;
    }
    if (!str_utf8(text)) {
        line_column(text, first_bad_byte(text), &line, &column);
        complain(complaints, path, line, column, "not UTF-8");
        return ERR_MALFORMED;
    }
    struct pass pass = {.arena = arena, .text = text};
    enum err e = pass_run(&pass);
    ret->spots = pass.spots;
    ret->n_spots = pass.n;
    if (e) {
        line_column(text, pass.i, &line, &column);
        if (pass.n >= PAPER_MAX_VALUES)
            complain(complaints, path, line, column, "more than %d values", PAPER_MAX_VALUES);
        else complain(complaints, path, line, column, "nested deeper than %d levels", PAPER_MAX_DEPTH);
        return e;
    }
    json_error_t error;
    ret->root = json_loadb(text.n ? text.at : "", text.n, JSON_REJECT_DUPLICATES, &error);
    if (!ret->root) {
        complain_syntax(complaints, ret, &error);
        return ERR_MALFORMED;
    }
    return OK;
}

enum err paper_read(struct arena *arena, const char *path, struct complaints *complaints, struct paper *ret)
{
    struct str name = str_c(path);
    struct stat st;
    enum err e = ERR_IO;
    *ret = (struct paper){.path = str_copy(arena, name)};
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        e = errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO;
        complain(complaints, name, 0, 0, "cannot be read: %s", strerror(errno));
        return e;
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        complain(complaints, name, 0, 0, S_ISDIR(st.st_mode) ? "is a folder, not a file" : "is not a regular file");
        goto out;
    }
    if (st.st_size > PAPER_MAX_BYTES) {
        complain(complaints, name, 0, 0, "larger than %d MiB", PAPER_MAX_BYTES >> 20);
        e = ERR_LIMIT;
        goto out;
    }
    /* One byte more than the size said, so that a file that grows meanwhile is noticed. */
    size_t room = (size_t)st.st_size + 1, n = 0;
    char *bytes = arena_alloc(arena, room + 1);
    while (n < room) {
        ssize_t got = read(fd, bytes + n, room - n);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            complain(complaints, name, 0, 0, "cannot be read: %s", strerror(errno));
            goto out;
        }
        if (got == 0) break;
        n += (size_t)got;
    }
    if (n > (size_t)st.st_size) {
        complain(complaints, name, 0, 0, "changed while it was read");
        goto out;
    }
    e = paper_parse(arena, name, (struct str){bytes, n}, complaints, ret);
out:
    close(fd);
    return e;
}

void paper_done(struct paper *paper)
{
    json_decref(paper->root);
    paper->root = NULL;
}

/* Does the key on the page, escapes and all, say `want`? */
static bool key_is(struct str raw, struct str want)
{
    if (raw.n == want.n && !memchr(raw.at, '\\', raw.n)) return str_eq(raw, want);
    size_t w = 0;
    for (size_t i = 0; i < raw.n;) {
        char utf8[4];
        size_t n = 1;
        utf8[0] = raw.at[i++];
        if (utf8[0] == '\\' && i < raw.n) {
            static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
            const char *found = memchr(from, raw.at[i], sizeof from - 1);
            unsigned code = 0, pair = 0;
            char digits[5] = {0};
            if (found) {
                utf8[0] = to[found - from];
                i++;
            } else if (raw.at[i] == 'u' && i + 4 < raw.n) {
                memcpy(digits, raw.at + i + 1, 4);
                if (sscanf(digits, "%4x", &code) != 1) return false;
                i += 5;
                if (code >= 0xd800 && code < 0xdc00 && i + 5 < raw.n) {
                    memcpy(digits, raw.at + i + 2, 4);
                    if (sscanf(digits, "%4x", &pair) != 1 || pair < 0xdc00 || pair > 0xdfff) return false;
                    code = 0x10000 + ((code - 0xd800) << 10) + (pair - 0xdc00);
                    i += 6;
                }
                if (code < 0x80) {
                    utf8[0] = (char)code;
                } else {
                    n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
                    for (size_t k = n; k-- > 1; code >>= 6)
                        utf8[k] = (char)(0x80 | (code & 0x3f));
                    utf8[0] = (char)((n == 2 ? 0xc0u : n == 3 ? 0xe0u : 0xf0u) | code);
                }
            }
        }
        if (w + n > want.n || memcmp(want.at + w, utf8, n) != 0) return false;
        w += n;
    }
    return w == want.n;
}

/* The next step of a pointer, with ~1 and ~0 undone. */
static struct str pointer_step(struct str step, char *room, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < step.n && n < size; i++) {
        char c = step.at[i];
        if (c == '~' && i + 1 < step.n) c = step.at[++i] == '1' ? '/' : '~';
        room[n++] = c;
    }
    return (struct str){room, n};
}

static const struct spot *find_spot(const struct paper *paper, const char *pointer)
{
    if (!paper->n_spots) return NULL;
    const struct spot *spot = &paper->spots[0];
    struct str rest = str_c(pointer);
    while (rest.n) {
        struct str step, key;
        char room[512];
        int64_t index = -1, i = 0;
        if (rest.at[0] != '/') return NULL;
        rest.at++;
        rest.n--;
        const char *slash = rest.n ? memchr(rest.at, '/', rest.n) : NULL;
        step = (struct str){rest.at, slash ? (size_t)(slash - rest.at) : rest.n};
        rest = (struct str){rest.at + step.n, rest.n - step.n};
        key = pointer_step(step, room, sizeof room);
        bool array = paper->text.at[spot->at] == '[';
        if (array && !str_int(key, &index)) return NULL;
        uint32_t child = spot->first;
        for (; child; child = paper->spots[child].next, i++) {
            const struct spot *c = &paper->spots[child];
            if (array ? i == index : key_is((struct str){paper->text.at + c->key_at, c->key_n}, key)) break;
        }
        if (!child) return NULL;
        spot = &paper->spots[child];
    }
    return spot;
}

void paper_spot(const struct paper *paper, const char *pointer, int *ret_line, int *ret_column)
{
    const struct spot *spot = find_spot(paper, pointer);
    *ret_line = *ret_column = 0;
    if (spot) line_column(paper->text, spot->at, ret_line, ret_column);
}

void paper_key_spot(const struct paper *paper, const char *pointer, int *ret_line, int *ret_column)
{
    const struct spot *spot = find_spot(paper, pointer);
    *ret_line = *ret_column = 0;
    if (spot) line_column(paper->text, spot->key_at ? spot->key_at - 1 : spot->at, ret_line, ret_column);
}

void paper_complain(const struct paper *paper, struct complaints *complaints, const char *pointer, const char *fmt, ...)
{
    int line = 0, column = 0;
    va_list ap;
    if (complaints->n < COMPLAINTS_KEPT) paper_spot(paper, pointer, &line, &column);
    va_start(ap, fmt);
    vcomplain(complaints, paper->path, line, column, fmt, ap);
    va_end(ap);
}

struct str paper_line(const struct paper *paper, int line)
{
    struct str rest = paper->text, head = {0};
    if (line < 1) return head;
    for (int i = 0; i < line; i++)
        if (!str_cut(rest, '\n', &head, &rest) && i + 1 < line) return (struct str){0};
    head = str_trim(head);
    if (head.n > 200) {
        head.n = 200;
        while (head.n && ((unsigned char)head.at[head.n] & 0xc0) == 0x80)
            head.n--;
    }
    return head;
}
