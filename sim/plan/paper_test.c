#include "plan/paper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct bench {
    struct arena arena;
    struct complaints complaints;
    struct paper paper;
};

static struct bench parse(struct str text, enum err expected)
{
    struct bench bench = {0};
    /* An exact copy on the heap, so that a read past the end is seen. */
    char *copy = malloc(text.n ? text.n : 1);
    if (text.n) memcpy(copy, text.at, text.n);
    struct complaints complaints = {.arena = &bench.arena};
    enum err e = paper_parse(&bench.arena, STR("x.json"), (struct str){copy, text.n}, &complaints, &bench.paper);
    assert_int_equal(e, expected);
    assert_true((complaints.n > 0) == (e != OK));
    bench.complaints = complaints;
    bench.complaints.arena = NULL;
    bench.paper.text = str_copy(&bench.arena, text);
    free(copy);
    return bench;
}

static void done(struct bench *bench)
{
    paper_done(&bench->paper);
    arena_done(&bench->arena);
}

static void complains(struct str text, enum err expected, int line, int column, const char *part)
{
    struct bench bench = parse(text, expected);
    assert_int_equal(bench.complaints.n, 1);
    assert_string_equal(bench.complaints.at[0].file.at, "x.json");
    assert_int_equal(bench.complaints.at[0].line, line);
    assert_int_equal(bench.complaints.at[0].column, column);
    if (str_find(bench.complaints.at[0].text, part) < 0)
        fail_msg("\"%s\" lacks \"%s\"", bench.complaints.at[0].text.at, part);
    assert_null(memchr(bench.complaints.at[0].text.at, '\n', bench.complaints.at[0].text.n));
    done(&bench);
}

static void stands(const struct paper *paper, const char *pointer, int line, int column, int key_line, int key_column)
{
    int l, c;
    paper_spot(paper, pointer, &l, &c);
    assert_int_equal(l, line);
    assert_int_equal(c, column);
    paper_key_spot(paper, pointer, &l, &c);
    assert_int_equal(l, key_line);
    assert_int_equal(c, key_column);
}

static void test_spots(void **state)
{
    (void)state;
    struct bench bench = parse(STR("{ \"a\": [1, {\"b\" :\n  \"x\"}, true],\n\t\"\\u0063\\n/~\": {},\n  \"\xc3\xa9\": "
                                   "\"\xc3\xa9\", \"z\": [[ 5]] }"),
                               OK);
    stands(&bench.paper, "", 1, 1, 1, 1);
    stands(&bench.paper, "/a", 1, 8, 1, 3);
    stands(&bench.paper, "/a/0", 1, 9, 1, 9);
    stands(&bench.paper, "/a/1/b", 2, 3, 1, 13);
    stands(&bench.paper, "/a/2", 2, 9, 2, 9);
    stands(&bench.paper, "/c\n~1~0", 3, 16, 3, 2);
    stands(&bench.paper, "/\xc3\xa9", 4, 8, 4, 3);
    stands(&bench.paper, "/z/0/0", 4, 21, 4, 21); /* columns count characters, not bytes */
    stands(&bench.paper, "/nothing", 0, 0, 0, 0);
    stands(&bench.paper, "/a/9", 0, 0, 0, 0);
    stands(&bench.paper, "/a/x", 0, 0, 0, 0);
    stands(&bench.paper, "a", 0, 0, 0, 0);
    assert_true(str_is(paper_line(&bench.paper, 2), "\"x\"}, true],"));
    assert_int_equal(paper_line(&bench.paper, 5).n, 0);
    assert_int_equal(paper_line(&bench.paper, 0).n, 0);
    done(&bench);
}

static void test_syntax(void **state)
{
    (void)state;
    complains(STR(""), ERR_MALFORMED, 1, 1, "ends too early");
    complains(STR("{\n  \"a\": [1, 2"), ERR_MALFORMED, 2, 13, "ends too early");
    complains(STR("{ \"a\": 1,\n  \"b\" 2 }"), ERR_MALFORMED, 2, 7, "':' expected");
    complains(STR("{ \"a\": 1, }"), ERR_MALFORMED, 1, 11, "expected");
    complains(STR("{ \"a\": 1 } x"), ERR_MALFORMED, 1, 12, "not JSON");
    complains(STR("{ // no comments\n}"), ERR_MALFORMED, 1, 3, "not JSON");
    complains(STR("{ \"a\": 1,\n  \"b\": { \"c\": 1, \"c\": 2 } }"), ERR_MALFORMED, 2, 18,
              "the key \"c\" stands twice");
    complains(STR("{ \"a\": \"\\ud800\" }"), ERR_MALFORMED, 1, 15, "not JSON");
    complains(STR("{ \"a\": 1e999 }"), ERR_MALFORMED, 1, 12, "not JSON");
    complains(STR("{ \"a\": 99999999999999999999 }"), ERR_MALFORMED, 1, 27, "not JSON");
}

static void test_bytes(void **state)
{
    (void)state;
    complains(((struct str){"{\n \"a\0b\": 1}", 12}), ERR_MALFORMED, 2, 4, "NUL");
    complains(STR("{ \"a\":\n\"\xff\" }"), ERR_MALFORMED, 2, 2, "not UTF-8");
    complains(STR("{ \"\xed\xa0\x80\": 1 }"), ERR_MALFORMED, 1, 4, "not UTF-8");
    complains(STR("{ \"a\": \"\xc3"), ERR_MALFORMED, 1, 9, "not UTF-8");
    complains(STR("\xef\xbb\xbf{}"), ERR_MALFORMED, 1, 1, "byte order mark");
    complains(STR("{ \"a\\u0000\": 1 }"), ERR_MALFORMED, 1, 11, "not JSON");
    /* A bad byte far into a long text is found at its place. */
    struct arena arena = {0};
    for (size_t at = 20; at < 60000; at = at * 7 / 2 + 1) {
        char *text = arena_alloc(&arena, 60001);
        memset(text, ' ', 60000);
        for (size_t i = 1; i + 1 < 60000; i++)
            text[i] = i % 2 ? '\xc3' : '\xa9';
        text[1] = '[';
        text[2] = '"';
        text[at | 1] = '\xe9';
        text[(at | 1) + 1] = 'x';
        complains((struct str){text, 60000}, ERR_MALFORMED, 1, (int)((at | 1) - 1) / 2 + 3, "not UTF-8");
    }
    arena_done(&arena);
}

static void test_depth_and_size(void **state)
{
    (void)state;
    struct arena arena = {0};
    char text[200];
    memset(text, '[', 32);
    memset(text + 32, ']', 32);
    struct bench bench = parse((struct str){text, 64}, OK);
    done(&bench);
    memset(text, '[', 100);
    complains((struct str){text, 100}, ERR_LIMIT, 1, 33, "nested deeper than 32 levels");
    size_t n = PAPER_MAX_BYTES + 1;
    char *big = arena_alloc(&arena, n);
    memset(big, '[', n);
    complains((struct str){big, n}, ERR_LIMIT, 0, 0, "larger than 4 MiB");
    complains((struct str){big, n - 1}, ERR_LIMIT, 1, 33, "nested deeper");
    big[0] = '[';
    for (size_t i = 1; i < n; i++)
        big[i] = i % 2 ? '1' : ',';
    complains((struct str){big, n - 1}, ERR_LIMIT, 1, 2 * (PAPER_MAX_VALUES - 1) + 2, "more than 200000 values");
    memset(big, '"', n - 1);
    big[0] = '[';
    memset(big + 2, '\\', n - 3);
    complains((struct str){big, n - 1}, ERR_MALFORMED, 1, (int)n, "ends too early");
    arena_done(&arena);
}

static enum err read_file(const char *path, struct str *ret_text)
{
    static char text[500];
    struct arena arena = {0};
    struct complaints complaints = {.arena = &arena};
    struct paper paper;
    enum err e = paper_read(&arena, path, &complaints, &paper);
    assert_int_equal(complaints.n, e ? 1 : 0);
    text[0] = 0;
    if (e) memcpy(text, complaints.at[0].text.at, complaints.at[0].text.n + 1);
    if (e) assert_string_equal(complaints.at[0].file.at, path);
    *ret_text = str_c(text);
    paper_done(&paper);
    arena_done(&arena);
    return e;
}

static void test_files(void **state)
{
    (void)state;
    char folder[] = "/tmp/paper-test-XXXXXX", path[64], missing[80];
    struct str why;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/big.json", folder);
    snprintf(missing, sizeof missing, "%s/none.json", folder);
    assert_int_equal(read_file(folder, &why), ERR_IO);
    assert_true(str_is(why, "is a folder, not a file"));
    assert_int_equal(read_file(missing, &why), ERR_NOT_FOUND);
    assert_true(str_starts(why, "cannot be read: "));
    assert_int_equal(read_file("/dev/zero", &why), ERR_IO);
    assert_true(str_is(why, "is not a regular file"));
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(read_file(path, &why), ERR_IO);
    unlink(path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(ftruncate(fileno(file), 100 << 20), 0);
    assert_int_equal(read_file(path, &why), ERR_LIMIT);
    assert_true(str_is(why, "larger than 4 MiB"));
    assert_int_equal(ftruncate(fileno(file), 0), 0);
    fputs("{ \"a\": 1 }", file);
    fclose(file);
    assert_int_equal(read_file(path, &why), OK);
    unlink(path);
    rmdir(folder);
}

static void test_complaints_are_one_line_and_bounded(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct complaints complaints = {.arena = &arena};
    char long_text[1000];
    complain(&complaints, STR("f"), 1, 2, "a\nb\x1b[31m\tc");
    assert_string_equal(complaints.at[0].text.at, "a?b?[31m?c");
    complain(&complaints, STR("f"), 1, 2, "a\nb\x1b[31m\tc");
    assert_int_equal(complaints.n, 1); /* said once */
    complain(&complaints, STR("g"), 1, 2, "a\nb\x1b[31m\tc");
    assert_int_equal(complaints.n, 2);
    for (size_t i = 0; i + 2 < sizeof long_text; i += 2)
        memcpy(long_text + i, "\xc3\xa9", 3);
    complain(&complaints, STR("f"), 1, 2, "x%s", long_text);
    assert_true(complaints.at[2].text.n < 410);
    assert_true(str_utf8(complaints.at[2].text));
    for (int i = 0; i < 500; i++)
        complain(&complaints, STR("f"), i, 0, "many");
    assert_int_equal(complaints.n, 503);
    assert_string_equal(complaints.at[COMPLAINTS_KEPT - 1].text.at, "many");
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spots), cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_bytes), cmocka_unit_test(test_depth_and_size),
        cmocka_unit_test(test_files), cmocka_unit_test(test_complaints_are_one_line_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
